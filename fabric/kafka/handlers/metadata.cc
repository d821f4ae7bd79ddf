#include "fabric/kafka/protocol/metadata.h"

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/errors.h"

namespace selvage::kafka {
namespace {

MetadataResponse::Topic Describe(Context& context, const Topic& topic) {
  MetadataResponse::Topic described;
  described.name = topic.name;
  described.is_internal = false;
  for (int32_t partition = 0; partition < topic.partitions; ++partition) {
    MetadataResponse::Topic::Partition& row = described.partitions.emplace_back();
    row.partition_index = partition;
    row.leader_id = kNodeId;
    row.leader_epoch = 0;
    row.replica_nodes = row.isr_nodes = {kNodeId};
    auto log = context.topics.FindForReading(topic.name, partition);
    if (log.ok() && *log != nullptr) row.leader_epoch = (*log)->state().leader_epoch().value();
  }
  return described;
}

absl::StatusOr<Topic> FindOrCreate(Context& context, const std::string& name, bool may_create) {
  auto topic = context.topics.Find(name);
  if (topic.ok() || !may_create || ErrorKind(topic.status()) != "unknown_stream") return topic;
  v1::StreamDefinition definition;
  definition.set_name(name);
  definition.set_partitions(context.settings.partitions);
  auto created = context.topics.Create(definition);
  // Somebody else was quicker.
  if (!created.ok() && ErrorKind(created.status()) == "stream_exists") return context.topics.Find(name);
  return created;
}

Awaitable<MetadataResponse> Handle(Context& context, Call& call, MetadataRequest request) {
  MetadataResponse response;
  response.brokers.push_back({kNodeId, context.settings.host, context.settings.port, std::nullopt});
  response.cluster_id = context.settings.cluster_id;
  response.controller_id = kNodeId;
  const bool all = !request.topics || (call.version() == 0 && request.topics->empty());
  if (all) {
    for (const Topic& topic : context.topics.List()) response.topics.push_back(Describe(context, topic));
    co_return response;
  }
  const bool may_create = context.settings.auto_create && request.allow_auto_topic_creation;
  for (const MetadataRequest::Topic& wanted : *request.topics) {
    MetadataResponse::Topic& row = response.topics.emplace_back();
    row.name = wanted.name;
    row.topic_id = wanted.topic_id;
    if (!wanted.name) {
      row.error_code = ErrorCode::kUnknownTopicId;
      continue;
    }
    auto topic = FindOrCreate(context, *wanted.name, may_create);
    if (topic.ok()) {
      row = Describe(context, *topic);
    } else {
      row.error_code = CodeOf(topic.status());
    }
  }
  co_return response;
}

}  // namespace

const ServedApi kServeMetadata = {ApiKey::kMetadata, 0, 13, &ServeWith<MetadataRequest, MetadataResponse, &Handle>};

}  // namespace selvage::kafka
