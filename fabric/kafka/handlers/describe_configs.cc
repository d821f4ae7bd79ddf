#include "fabric/kafka/protocol/describe_configs.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/config_resource.h"
#include "fabric/kafka/handlers/errors.h"

namespace selvage::kafka {
namespace {

// Where a value comes from.
constexpr int8_t kOfTopic = 1;
constexpr int8_t kOfBrokerFile = 4;
constexpr int8_t kDefault = 5;

bool IsWanted(const DescribeConfigsRequest::Resource& asked, std::string_view name) {
  const auto& keys = asked.configuration_keys;
  return !keys || std::find(keys->begin(), keys->end(), name) != keys->end();
}

/// Adds one, as far as it is asked for.
void Add(const DescribeConfigsRequest& request, const DescribeConfigsRequest::Resource& asked,
         DescribeConfigsResponse::Result::Config config, std::string_view help,
         DescribeConfigsResponse::Result& result) {
  if (!IsWanted(asked, config.name)) return;
  if (request.include_synonyms) config.synonyms.push_back({config.name, config.value, config.config_source});
  if (request.include_documentation) config.documentation = std::string(help);
  result.configs.push_back(std::move(config));
}

absl::Status DescribeTopic(Context& context, const DescribeConfigsRequest& request,
                           const DescribeConfigsRequest::Resource& asked,
                           DescribeConfigsResponse::Result& result) {
  SELVAGE_ASSIGN_OR_RETURN(const Topic topic, context.topics.Find(asked.resource_name));
  for (const TopicConfig& row : TopicConfigs()) {
    DescribeConfigsResponse::Result::Config config;
    config.name = std::string(row.name);
    config.value = row.get(topic.definition, context.settings);
    config.read_only = row.use != TopicConfig::Use::kSettable;
    config.config_source =
        *config.value == DefaultOf(row, topic.definition, context.settings) ? kDefault : kOfTopic;
    config.config_type = static_cast<int8_t>(row.type);
    Add(request, asked, std::move(config), row.help, result);
  }
  return absl::OkStatus();
}

void DescribeBroker(Context& context, const DescribeConfigsRequest& request,
                    const DescribeConfigsRequest::Resource& asked, DescribeConfigsResponse::Result& result) {
  const Settings& settings = context.settings;
  struct Row {
    std::string_view name;
    std::string value;
    ConfigType type;
    std::string_view help;
  };
  const Row rows[] = {
      {"advertised.listeners", fmt::format("PLAINTEXT://{}:{}", settings.host, settings.port),
       ConfigType::kString, "kafka.advertise of the daemon's configuration"},
      {"auto.create.topics.enable", settings.auto_create ? "true" : "false", ConfigType::kBoolean,
       "kafka.auto_create"},
      {"broker.id", std::to_string(kNodeId), ConfigType::kInt, "A node is one broker"},
      {"default.replication.factor", "1", ConfigType::kInt, "A node is one broker"},
      {"message.max.bytes", std::to_string(settings.batch_max), ConfigType::kInt, "batch.max_bytes"},
      {"num.partitions", std::to_string(settings.partitions), ConfigType::kInt, "kafka.partitions"},
  };
  for (const Row& row : rows) {
    DescribeConfigsResponse::Result::Config config;
    config.name = std::string(row.name);
    config.value = row.value;
    config.read_only = true;
    config.config_source = kOfBrokerFile;
    config.config_type = static_cast<int8_t>(row.type);
    Add(request, asked, std::move(config), row.help, result);
  }
}

Awaitable<DescribeConfigsResponse> Handle(Context& context, Call&, DescribeConfigsRequest request) {
  DescribeConfigsResponse response;
  for (const DescribeConfigsRequest::Resource& asked : request.resources) {
    DescribeConfigsResponse::Result& result = response.results.emplace_back();
    result.resource_type = asked.resource_type;
    result.resource_name = asked.resource_name;
    absl::Status described = CheckResource(asked.resource_type, asked.resource_name);
    if (described.ok() && asked.resource_type == kTopicResource) {
      described = DescribeTopic(context, request, asked, result);
    } else if (described.ok()) {
      DescribeBroker(context, request, asked, result);
    }
    result.error_code = CodeOf(described);
    if (!described.ok()) result.error_message = MessageOf(described);
  }
  co_return response;
}

}  // namespace

const ServedApi kServeDescribeConfigs = {
    ApiKey::kDescribeConfigs, 1, 4, &ServeWith<DescribeConfigsRequest, DescribeConfigsResponse, &Handle>};

}  // namespace selvage::kafka
