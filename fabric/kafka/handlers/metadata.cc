#include "fabric/kafka/protocol/metadata.h"

#include <string_view>
#include <unordered_set>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/authorized_operations.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"
#include "fabric/stream/stream_catalog.h"

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

absl::StatusOr<Topic> Create(Context& context, const std::string& name) {
  v1::StreamDefinition definition;
  definition.set_name(name);
  definition.set_partitions(context.settings.partitions);
  *definition.mutable_settings() = DefaultStreamSettings();
  auto created = context.topics.Create(std::move(definition), /*validate_only=*/false);
  // Somebody else was quicker.
  if (!created.ok() && ErrorKind(created.status()) == "stream_exists") return context.topics.Find(name);
  return created;
}

Awaitable<MetadataResponse> Describe(Context& context, Call& call, const MetadataRequest& request) {
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
  std::unordered_set<std::string_view> named;
  for (const MetadataRequest::Topic& wanted : *request.topics) {
    if (wanted.name && !named.insert(*wanted.name).second) continue;
    MetadataResponse::Topic& row = response.topics.emplace_back();
    row.name = wanted.name;
    row.topic_id = wanted.topic_id;
    if (!wanted.name) {
      row.error_code = ErrorCode::kUnknownTopicId;
      continue;
    }
    auto topic = context.topics.Find(*wanted.name);
    if (ErrorKind(topic.status()) == "unknown_stream" && !IsStreamName(*wanted.name)) {
      row.error_code = ErrorCode::kInvalidTopic;
      continue;
    }
    if (ErrorKind(topic.status()) == "unknown_stream" && may_create) {
      topic = co_await RunBlocking(context, [&] { return Create(context, *wanted.name); });
    }
    if (topic.ok()) {
      row = Describe(context, *topic);
    } else {
      row.error_code = CodeOf(topic.status());
      context.metrics.CountError(topic.status());
    }
  }
  co_return response;
}

Awaitable<MetadataResponse> Handle(Context& context, Call& call, MetadataRequest request) {
  MetadataResponse response = co_await Describe(context, call, request);
  if (request.include_cluster_authorized_operations) {
    response.cluster_authorized_operations = kClusterOperations;
  }
  for (MetadataResponse::Topic& topic : response.topics) {
    if (request.include_topic_authorized_operations && topic.error_code == ErrorCode::kNone) {
      topic.topic_authorized_operations = kTopicOperations;
    }
  }
  co_return response;
}

}  // namespace

const ServedApi kServeMetadata = {ApiKey::kMetadata, 0, 13,
                                  &ServeWith<MetadataRequest, MetadataResponse, &Handle>};

}  // namespace selvage::kafka
