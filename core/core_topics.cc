#include "core/core_topics.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"

namespace selvage {
namespace {

/// How many times the wanted free slots a new core shows: a fleet can double several times over before
/// consumers see a change.
constexpr uint64_t kFirstShown = 4;

v1::LogAddress AddressOf(const std::string& edge, const std::string& stream, int32_t partition) {
  v1::LogAddress address;
  address.set_edge(edge);
  address.set_stream(stream);
  address.set_partition(partition);
  return address;
}

}  // namespace

uint32_t SlotsShown(uint32_t used, uint32_t ahead) {
  uint64_t shown = kFirstShown * ahead;
  while (shown < uint64_t{used} + ahead) shown *= 2;
  return static_cast<uint32_t>(std::min<uint64_t>(shown, UINT32_MAX));
}

absl::StatusOr<CoreTopics::Meaning> CoreTopics::Resolve(const std::string& topic) const {
  if (auto definition = parts_.catalog.Find(topic)) return Meaning{*std::move(definition), ""};
  const size_t dot = topic.find('.');
  if (dot == std::string::npos) return UnknownStream(topic);
  const std::string edge = topic.substr(0, dot);
  auto definition = parts_.catalog.Find(topic.substr(dot + 1));
  const bool has_parts =
      definition && (definition->direction() == v1::UP || definition->direction() == v1::DOWN);
  if (!has_parts || !parts_.edges.SlotOf(edge)) return UnknownStream(topic);
  return Meaning{*std::move(definition), edge};
}

int32_t CoreTopics::PartitionsOf(const Meaning& meaning) const {
  const int32_t own = meaning.definition.partitions();
  if (meaning.definition.direction() != v1::UP || !meaning.edge.empty()) return own;
  const uint64_t all =
      uint64_t{SlotsShown(parts_.core.slots_used(), slots_ahead_)} * static_cast<uint64_t>(own);
  return static_cast<int32_t>(std::min<uint64_t>(all, INT32_MAX));
}

std::vector<kafka::Topic> CoreTopics::List() {
  std::vector<kafka::Topic> topics;
  for (v1::StreamDefinition& definition : parts_.catalog.All()) {
    Meaning meaning{std::move(definition), ""};
    const int32_t partitions = PartitionsOf(meaning);
    topics.push_back({meaning.definition.name(), partitions, std::move(meaning.definition)});
  }
  return topics;
}

absl::StatusOr<kafka::Topic> CoreTopics::Find(const std::string& name) {
  SELVAGE_ASSIGN_OR_RETURN(Meaning meaning, Resolve(name));
  const int32_t partitions = PartitionsOf(meaning);
  return kafka::Topic{name, partitions, std::move(meaning.definition)};
}

absl::StatusOr<std::shared_ptr<Log>> CoreTopics::FindReplica(const Meaning& meaning, const std::string& topic,
                                                             int32_t partition) {
  const int32_t shown = PartitionsOf(meaning);
  if (partition < 0 || partition >= shown) {
    return WrongPartition(AddressOf("", topic, partition), fmt::format("partitions 0 to {}", shown - 1));
  }
  // Each edge has its own; the name alone is empty, for those who read every topic there is.
  if (meaning.definition.direction() == v1::DOWN) return nullptr;
  const int32_t own = meaning.definition.partitions();
  LogOrigin origin{meaning.edge, Slot(0), meaning.definition.name(), PartitionId(partition % own)};
  if (meaning.edge.empty()) {
    origin.slot = Slot(static_cast<uint32_t>(partition / own));
    auto edge = parts_.edges.EdgeOf(origin.slot);
    if (!edge) return nullptr;  // a free slot
    origin.edge = *std::move(edge);
  } else {
    origin.slot = parts_.edges.SlotOf(meaning.edge).value_or(Slot(0));
  }
  // Null while the edge has sent nothing of it.
  return parts_.logs.Find(origin);
}

absl::StatusOr<std::shared_ptr<Log>> CoreTopics::FindForReading(const std::string& topic, int32_t partition) {
  SELVAGE_ASSIGN_OR_RETURN(const Meaning meaning, Resolve(topic));
  const bool for_each_edge = meaning.definition.direction() == v1::DOWN && meaning.edge.empty();
  if (meaning.definition.direction() == v1::UP || for_each_edge)
    return FindReplica(meaning, topic, partition);
  if (meaning.definition.direction() == v1::DOWN) {
    // Empty until somebody writes to it or its edge links: reading makes nothing.
    if (partition >= 0 && partition < PartitionsOf(meaning)) return FindDown(meaning, partition);
    return WrongPartition(AddressOf(meaning.edge, topic, partition),
                          fmt::format("partitions 0 to {}", PartitionsOf(meaning) - 1));
  }
  return parts_.admin.FindLog(AddressOf(meaning.edge, meaning.definition.name(), partition), LogUse::kRead);
}

uint64_t CoreTopics::changes() const {
  return parts_.edges.changes() + parts_.catalog.changes() + parts_.logs.changes();
}

absl::Status CoreTopics::RefuseWrite(const Meaning& meaning, int32_t partition) const {
  const int32_t own = meaning.definition.partitions();
  std::string edge = meaning.edge;
  if (edge.empty() && partition >= 0) {
    edge = parts_.edges.EdgeOf(Slot(static_cast<uint32_t>(partition / own))).value_or("");
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "read_only_replica",
      edge.empty()
          ? fmt::format("stream {} is written at the edges; the core holds replicas",
                        meaning.definition.name())
          : fmt::format(
                "partition {} of stream {} is written at edge {}, as its partition {}; the core holds "
                "a replica",
                partition, meaning.definition.name(), edge, partition % own),
      edge.empty() ? "produce at an edge"
                   : fmt::format("produce to {} at edge {}", meaning.definition.name(), edge));
}

absl::StatusOr<std::shared_ptr<Log>> CoreTopics::FindForWriting(const std::string& topic, int32_t partition) {
  SELVAGE_ASSIGN_OR_RETURN(const Meaning meaning, Resolve(topic));
  const bool of_edge = meaning.definition.direction() == v1::DOWN && !meaning.edge.empty();
  // The first write to an edge's part of a stream makes it, and any error is given then.
  if (of_edge && FindDown(meaning, partition) == nullptr) return nullptr;
  return MakeForWriting(topic, partition);
}

std::shared_ptr<Log> CoreTopics::FindDown(const Meaning& meaning, int32_t partition) {
  return parts_.logs.Find({meaning.edge, Slot(0), meaning.definition.name(), PartitionId(partition)});
}

absl::StatusOr<std::shared_ptr<Log>> CoreTopics::MakeForWriting(const std::string& topic, int32_t partition) {
  SELVAGE_ASSIGN_OR_RETURN(const Meaning meaning, Resolve(topic));
  const std::string& stream = meaning.definition.name();
  if (meaning.definition.direction() == v1::UP) return RefuseWrite(meaning, partition);
  if (meaning.definition.direction() == v1::DOWN && meaning.edge.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "edge_needed",
                     fmt::format("stream {} has a log for each edge", stream),
                     fmt::format("produce to <edge>.{}", stream));
  }
  return parts_.admin.FindLog(AddressOf(meaning.edge, stream, partition), LogUse::kWrite);
}

absl::StatusOr<kafka::Topic> CoreTopics::Create(v1::StreamDefinition definition, bool validate_only) {
  if (definition.direction() == v1::DIRECTION_UNSPECIFIED) definition.set_direction(v1::LOCAL);
  SELVAGE_ASSIGN_OR_RETURN(
      definition, validate_only ? parts_.streams.CheckNew(definition) : parts_.streams.Create(definition));
  const Meaning meaning{definition, ""};
  return kafka::Topic{definition.name(), PartitionsOf(meaning), definition};
}

absl::Status CoreTopics::CheckWhole(const std::string& topic) const {
  SELVAGE_ASSIGN_OR_RETURN(const Meaning meaning, Resolve(topic));
  if (meaning.edge.empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "origin_topic",
      fmt::format("{} is edge {}'s part of stream {}", topic, meaning.edge, meaning.definition.name()),
      fmt::format("change {}, for all edges", meaning.definition.name()));
}

absl::StatusOr<kafka::Topic> CoreTopics::Set(const v1::SetStreamRequest& request) {
  SELVAGE_RETURN_IF_ERROR(CheckWhole(request.stream()));
  SELVAGE_RETURN_IF_ERROR(parts_.admin.SetStream(request).status());
  return Find(request.stream());
}

absl::Status CoreTopics::AddPartitions(const std::string& name, int32_t partitions, bool validate_only) {
  SELVAGE_RETURN_IF_ERROR(CheckWhole(name));
  return parts_.streams.AddPartitions(name, partitions, validate_only);
}

absl::Status CoreTopics::Delete(const std::string& name) {
  SELVAGE_RETURN_IF_ERROR(CheckWhole(name));
  const auto definition = parts_.catalog.Find(name);
  if (definition && definition->direction() != v1::LOCAL && !definition->settings().detached()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "stream_attached",
        fmt::format("stream {} is replicated: the edges would lose what they hold of it, too", name),
        "set selvage.detached=true first, so that the link carries nothing of it, and delete it then");
  }
  return parts_.admin.DeleteStream(name).status();
}

}  // namespace selvage
