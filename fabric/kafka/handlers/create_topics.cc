#include "fabric/kafka/protocol/create_topics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"
#include "fabric/kafka/handlers/topic_configs.h"
#include "fabric/stream/stream_catalog.h"

namespace selvage::kafka {
namespace {

absl::Status Refused(std::string_view kind, std::string_view what, std::string_view hint = {}) {
  return MakeError(absl::StatusCode::kInvalidArgument, kind, what, hint);
}

/// How many partitions are asked for; 0: as configured.
absl::StatusOr<int32_t> Partitions(const CreateTopicsRequest::Topic& asked) {
  if (asked.assignments.empty()) {
    if (asked.replication_factor != -1 && asked.replication_factor != 1) {
      return Refused("invalid_replication_factor",
                     fmt::format("replication factor {}: a node is one broker", asked.replication_factor),
                     "use 1 or -1");
    }
    if (asked.num_partitions == -1) return 0;
    if (asked.num_partitions < 1) {
      return Refused("invalid_partitions", fmt::format("{} partitions", asked.num_partitions), "at least 1");
    }
    return asked.num_partitions;
  }
  if (asked.num_partitions != -1 || asked.replication_factor != -1) {
    return Refused("invalid_request", "an assignment, and also a number of partitions or replicas",
                   "give one of them");
  }
  const auto count = static_cast<int32_t>(asked.assignments.size());
  std::vector<bool> seen(asked.assignments.size());
  for (const CreateTopicsRequest::Topic::Assignment& assignment : asked.assignments) {
    const int32_t index = assignment.partition_index;
    const bool fresh = index >= 0 && index < count && !seen[static_cast<size_t>(index)];
    if (!fresh || assignment.broker_ids != std::vector<int32_t>{kNodeId}) {
      return Refused("invalid_assignment", "an assignment other than of partitions 0, 1, … to broker 0");
    }
    seen[static_cast<size_t>(index)] = true;
  }
  return count;
}

absl::StatusOr<v1::StreamDefinition> DefinitionOf(const Context& context,
                                                  const CreateTopicsRequest::Topic& asked) {
  if (!IsStreamName(asked.name)) {
    return Refused("invalid_name", fmt::format("'{}' is not a topic name", asked.name.substr(0, 250)),
                   fmt::format("1 to {} of a-z, A-Z, 0-9, '.', '_' and '-'", kMaxStreamName));
  }
  SELVAGE_ASSIGN_OR_RETURN(const int32_t partitions, Partitions(asked));
  v1::StreamDefinition definition;
  definition.set_name(asked.name);
  definition.set_partitions(partitions == 0 ? context.settings.partitions : partitions);
  *definition.mutable_settings() = DefaultStreamSettings();
  std::vector<ConfigChange> changes;
  for (const CreateTopicsRequest::Topic::Config& config : asked.configs) {
    if (!config.value) return Refused("invalid_config", config.name + " without a value");
    changes.emplace_back(config.name, *config.value);
  }
  SELVAGE_RETURN_IF_ERROR(ApplyConfigs(changes, /*creating=*/true, context.settings, definition));
  return definition;
}

absl::StatusOr<Topic> Create(Context& context, const CreateTopicsRequest::Topic& asked, bool validate_only) {
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition definition, DefinitionOf(context, asked));
  return context.topics.Create(std::move(definition), validate_only);
}

void Describe(const Context& context, const Topic& topic, CreateTopicsResponse::Topic& row) {
  row.num_partitions = topic.partitions;
  row.replication_factor = 1;
  row.configs.emplace();
  for (const TopicConfig& config : TopicConfigs()) {
    const std::string value = config.get(topic.definition, context.settings);
    const bool own = value != DefaultOf(config, topic.definition, context.settings);
    row.configs->push_back({std::string(config.name), value, config.use != TopicConfig::Use::kSettable,
                            static_cast<int8_t>(own ? 1 : 5), false});
  }
}

CreateTopicsResponse Handle(Context& context, int16_t, const CreateTopicsRequest& request) {
  CreateTopicsResponse response;
  std::map<std::string, int> times;
  for (const CreateTopicsRequest::Topic& asked : request.topics) ++times[asked.name];
  for (const CreateTopicsRequest::Topic& asked : request.topics) {
    if (times[asked.name] == 0) continue;  // named before
    auto topic =
        times[asked.name] == 1
            ? Create(context, asked, request.validate_only)
            : absl::StatusOr<Topic>(Refused("invalid_request", "named more than once in the request"));
    times[asked.name] = 0;
    CreateTopicsResponse::Topic& row = response.topics.emplace_back();
    row.name = asked.name;
    row.error_code = CodeOf(topic.status());
    if (topic.ok()) {
      Describe(context, *topic, row);
    } else {
      row.error_message = MessageOf(topic.status());
    }
  }
  return response;
}

}  // namespace

const ServedApi kServeCreateTopics = {ApiKey::kCreateTopics, 2, 7,
                                      &ServeBlocking<CreateTopicsRequest, CreateTopicsResponse, &Handle>};

}  // namespace selvage::kafka
