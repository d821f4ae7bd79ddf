#include "edge/edge_topics.h"

#include <utility>

#include "fabric/base/error.h"

namespace selvage {
namespace {

kafka::Topic TopicOf(v1::StreamDefinition definition) {
  return {definition.name(), definition.partitions(), std::move(definition)};
}

v1::LogAddress AddressOf(const std::string& topic, int32_t partition) {
  v1::LogAddress address;
  address.set_stream(topic);
  address.set_partition(partition);
  return address;
}

}  // namespace

std::vector<kafka::Topic> EdgeTopics::List() {
  std::vector<kafka::Topic> topics;
  for (v1::StreamDefinition& definition : catalog_.All()) {
    topics.push_back(TopicOf(std::move(definition)));
  }
  return topics;
}

absl::StatusOr<kafka::Topic> EdgeTopics::Find(const std::string& name) {
  auto definition = catalog_.Find(name);
  if (!definition) return UnknownStream(name);
  return TopicOf(*std::move(definition));
}

absl::StatusOr<std::shared_ptr<Log>> EdgeTopics::FindForReading(const std::string& topic, int32_t partition) {
  auto log = admin_.FindLog(AddressOf(topic, partition), LogUse::kRead);
  // Nothing came from the core yet: empty.
  if (ErrorKind(log.status()) == "not_replicated_yet") return nullptr;
  return log;
}

uint64_t EdgeTopics::changes() const {
  return catalog_.changes() + logs_.changes();
}

absl::StatusOr<std::shared_ptr<Log>> EdgeTopics::FindForWriting(const std::string& topic, int32_t partition) {
  return admin_.FindLog(AddressOf(topic, partition), LogUse::kWrite);
}

absl::StatusOr<kafka::Topic> EdgeTopics::Create(v1::StreamDefinition definition, bool validate_only) {
  if (definition.direction() == v1::DIRECTION_UNSPECIFIED) definition.set_direction(direction_);
  SELVAGE_ASSIGN_OR_RETURN(definition,
                           validate_only ? admin_.CheckNew(definition) : admin_.CreateStream(definition));
  return TopicOf(std::move(definition));
}

absl::StatusOr<kafka::Topic> EdgeTopics::Set(const v1::SetStreamRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition definition, admin_.SetStream(request));
  return TopicOf(std::move(definition));
}

absl::Status EdgeTopics::AddPartitions(const std::string& name, int32_t partitions, bool validate_only) {
  return admin_.AddPartitions(name, partitions, validate_only);
}

absl::Status EdgeTopics::Delete(const std::string& name) {
  return admin_.DeleteStream(name).status();
}

}  // namespace selvage
