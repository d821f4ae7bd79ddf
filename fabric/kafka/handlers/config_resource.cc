#include "fabric/kafka/handlers/config_resource.h"

#include <fmt/format.h>

#include "fabric/base/error.h"
#include "fabric/stream/stream_catalog.h"

namespace selvage::kafka {
namespace {

/// Names of the fields in which two settings differ.
std::vector<std::string> Changed(const v1::StreamSettings& from, const v1::StreamSettings& to) {
  std::vector<std::string> changed;
  const auto* descriptor = v1::StreamSettings::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    v1::StreamSettings a, b;
    std::vector<std::string> names = {field->name()};
    if (MergeSettings(from, names, a).ok() && MergeSettings(to, names, b).ok() &&
        a.SerializeAsString() != b.SerializeAsString()) {
      changed.push_back(field->name());
    }
  }
  return changed;
}

}  // namespace

absl::Status CheckResource(int8_t type, const std::string& name) {
  if (type == kTopicResource) return absl::OkStatus();
  if (type == kBrokerResource && (name.empty() || name == std::to_string(kNodeId))) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, "invalid_request",
      fmt::format("there is no resource of type {} with the name '{}'", type, name.substr(0, 100)),
      "topics, and broker 0");
}

absl::Status AlterResource(Context& context, int8_t type, const std::string& name,
                           const std::vector<ConfigChange>& changes, bool reset_first, bool validate_only) {
  SELVAGE_RETURN_IF_ERROR(CheckResource(type, name));
  if (type == kBrokerResource) {
    return MakeError(absl::StatusCode::kInvalidArgument, "broker_config",
                     "the settings of a node are not changed by clients",
                     "they are in the daemon's configuration file");
  }
  SELVAGE_ASSIGN_OR_RETURN(const Topic topic, context.topics.Find(name));
  v1::StreamDefinition wanted = topic.definition;
  if (reset_first) *wanted.mutable_settings() = DefaultStreamSettings();
  SELVAGE_RETURN_IF_ERROR(ApplyConfigs(changes, /*creating=*/false, context.settings, wanted));
  SELVAGE_ASSIGN_OR_RETURN(wanted, CompleteDefinition(std::move(wanted)));
  if (validate_only) return absl::OkStatus();
  v1::SetStreamRequest request;
  request.set_stream(name);
  *request.mutable_settings() = wanted.settings();
  for (std::string& field : Changed(topic.definition.settings(), wanted.settings()))
    request.add_fields(std::move(field));
  if (request.fields().empty()) return absl::OkStatus();
  return context.topics.Set(request).status();
}

}  // namespace selvage::kafka
