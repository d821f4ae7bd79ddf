#include "fabric/kafka/protocol/incremental_alter_configs.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/config_resource.h"
#include "fabric/kafka/handlers/errors.h"

namespace selvage::kafka {
namespace {

enum Operation : int8_t { kSet = 0, kDelete = 1, kAppend = 2, kSubtract = 3 };

absl::Status Invalid(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_config", what);
}

/// A list with words added or taken out.
std::string Combine(const std::string& list, const std::string& words, bool add) {
  std::vector<std::string> all = absl::StrSplit(list, ',', absl::SkipEmpty());
  for (const std::string& word : std::vector<std::string>(absl::StrSplit(words, ',', absl::SkipEmpty()))) {
    std::erase(all, word);
    if (add) all.push_back(word);
  }
  return absl::StrJoin(all, ",");
}

absl::StatusOr<ConfigChange> ChangeOf(const Context& context,
                                      const IncrementalAlterConfigsRequest::Resource::Config& asked,
                                      const v1::StreamDefinition& definition) {
  const TopicConfig* config = FindTopicConfig(asked.name);
  if (config == nullptr) return ConfigChange(asked.name, "");  // ApplyConfigs says so
  if (asked.config_operation == kDelete) {
    return ConfigChange(asked.name, DefaultOf(*config, definition, context.settings));
  }
  if (!asked.value) return Invalid(asked.name + " without a value");
  switch (asked.config_operation) {
    case kSet:
      return ConfigChange(asked.name, *asked.value);
    case kAppend:
    case kSubtract:
      if (config->type != ConfigType::kList) return Invalid(asked.name + " is not a list");
      return ConfigChange(asked.name, Combine(config->get(definition, context.settings), *asked.value,
                                              asked.config_operation == kAppend));
    default:
      return MakeError(absl::StatusCode::kInvalidArgument, "invalid_request",
                       fmt::format("operation {}", asked.config_operation), "0 to 3");
  }
}

absl::Status Alter(Context& context, const IncrementalAlterConfigsRequest::Resource& resource,
                   bool validate_only) {
  std::vector<ConfigChange> changes;
  if (resource.resource_type == kTopicResource) {
    SELVAGE_ASSIGN_OR_RETURN(const Topic topic, context.topics.Find(resource.resource_name));
    for (const IncrementalAlterConfigsRequest::Resource::Config& asked : resource.configs) {
      SELVAGE_ASSIGN_OR_RETURN(ConfigChange change, ChangeOf(context, asked, topic.definition));
      changes.push_back(std::move(change));
    }
  }
  return AlterResource(context, resource.resource_type, resource.resource_name, changes,
                       /*reset_first=*/false, validate_only);
}

IncrementalAlterConfigsResponse Handle(Context& context, int16_t,
                                       const IncrementalAlterConfigsRequest& request) {
  IncrementalAlterConfigsResponse response;
  for (const IncrementalAlterConfigsRequest::Resource& resource : request.resources) {
    const absl::Status altered = Alter(context, resource, request.validate_only);
    auto& row = response.responses.emplace_back();
    row.resource_type = resource.resource_type;
    row.resource_name = resource.resource_name;
    row.error_code = CodeOf(altered);
    if (!altered.ok()) row.error_message = MessageOf(altered);
  }
  return response;
}

}  // namespace

const ServedApi kServeIncrementalAlterConfigs = {
    ApiKey::kIncrementalAlterConfigs, 0, 1,
    &ServeBlocking<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, &Handle>};

}  // namespace selvage::kafka
