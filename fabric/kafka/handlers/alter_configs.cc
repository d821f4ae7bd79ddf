#include "fabric/kafka/protocol/alter_configs.h"

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/config_resource.h"
#include "fabric/kafka/handlers/errors.h"

namespace selvage::kafka {
namespace {

absl::Status Alter(Context& context, const AlterConfigsRequest::Resource& resource, bool validate_only) {
  std::vector<ConfigChange> changes;
  for (const auto& config : resource.configs) {
    if (config.value) changes.emplace_back(config.name, *config.value);  // without one: as a new topic has it
  }
  return AlterResource(context, resource.resource_type, resource.resource_name, changes, /*reset_first=*/true,
                       validate_only);
}

AlterConfigsResponse Handle(Context& context, int16_t, const AlterConfigsRequest& request) {
  AlterConfigsResponse response;
  for (const AlterConfigsRequest::Resource& resource : request.resources) {
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

const ServedApi kServeAlterConfigs = {ApiKey::kAlterConfigs, 0, 2,
                                      &ServeBlocking<AlterConfigsRequest, AlterConfigsResponse, &Handle>};

}  // namespace selvage::kafka
