#include "fabric/kafka/handlers/topic_configs.h"
#include "fabric/kafka/protocol/alter_configs.h"
#include "fabric/kafka/protocol/describe_configs.h"
#include "fabric/kafka/protocol/incremental_alter_configs.h"
#include "fabric/stream/stream_catalog.h"
#include "tests/unit/kafka/handlers/handler_world.h"

namespace selvage::kafka::test {
namespace {

constexpr int8_t kTopic = 2, kBroker = 4;
constexpr int8_t kSet = 0, kDelete = 1, kAppend = 2, kSubtract = 3;

class ConfigsTest : public testing::Test {
 protected:
  ConfigsTest() { world_.MakeTopic("t", 1, v1::UP); }

  DescribeConfigsResponse::Result Describe(int8_t type, const std::string& name,
                                           std::optional<std::vector<std::string>> keys = std::nullopt) {
    DescribeConfigsRequest request;
    request.resources = {{type, name, std::move(keys)}};
    request.include_synonyms = request.include_documentation = true;
    return world_.Ask<DescribeConfigsResponse>(request).results.at(0);
  }
  std::string Value(const std::string& config) {
    const auto result = Describe(kTopic, "t", {{config}});
    return result.configs.size() == 1 ? result.configs[0].value.value_or("null") : "not one";
  }
  ErrorCode Change(const std::string& name, int8_t operation, std::optional<std::string> value,
                   bool validate_only = false) {
    IncrementalAlterConfigsRequest request;
    request.resources = {{kTopic, "t", {{name, operation, std::move(value)}}}};
    request.validate_only = validate_only;
    return world_.Ask<IncrementalAlterConfigsResponse>(request).responses.at(0).error_code;
  }
  ErrorCode Replace(std::vector<AlterConfigsRequest::Resource::Config> configs) {
    AlterConfigsRequest request;
    request.resources = {{kTopic, "t", std::move(configs)}};
    return world_.Ask<AlterConfigsResponse>(request).responses.at(0).error_code;
  }

  HandlerWorld world_;
};

TEST(TopicConfigsTest, TheTableIsInOrderAndDefaultsAreThoseOfStreams) {
  v1::StreamDefinition definition;
  definition.set_direction(v1::UP);
  *definition.mutable_settings() = DefaultStreamSettings();
  std::string_view before;
  for (const TopicConfig& config : TopicConfigs()) {
    EXPECT_LT(before, config.name);
    before = config.name;
    const Settings node = HandlerWorld::DefaultSettings();
    const std::string value = config.get(definition, node);
    EXPECT_FALSE(value.empty()) << config.name;
    EXPECT_EQ(value, DefaultOf(config, definition, node));
    v1::StreamDefinition again = definition;
    EXPECT_TRUE(ApplyConfigs({{std::string(config.name), value}}, false, node, again).ok()) << config.name;
    EXPECT_EQ(config.get(again, node), value) << config.name << " takes what it gives";
  }
}

TEST_F(ConfigsTest, DescribesEverySettingOfATopic) {
  const auto result = Describe(kTopic, "t");
  EXPECT_EQ(result.error_code, ErrorCode::kNone);
  EXPECT_EQ(result.configs.size(), TopicConfigs().size());
  for (const auto& config : result.configs) {
    EXPECT_TRUE(config.value && config.documentation && config.synonyms.size() == 1) << config.name;
  }
  EXPECT_EQ(Value("cleanup.policy"), "delete") << "tools insist on it";
  EXPECT_EQ(Value("retention.ms"), "-1");
  EXPECT_EQ(Value("selvage.direction"), "up");
  EXPECT_TRUE(Describe(kTopic, "t", {{"no.such"}}).configs.empty());
  EXPECT_EQ(Describe(kTopic, "none").error_code, ErrorCode::kUnknownTopicOrPartition);
}

TEST_F(ConfigsTest, DescribesTheBrokerAndNothingElse) {
  for (const char* name : {"", "0"}) {
    const auto broker = Describe(kBroker, name, {{"message.max.bytes"}});
    ASSERT_EQ(broker.configs.size(), 1u);
    EXPECT_EQ(broker.configs[0].value, "1048588");
    EXPECT_TRUE(broker.configs[0].read_only);
  }
  EXPECT_EQ(Describe(kBroker, "1").error_code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(Describe(8, "0").error_code, ErrorCode::kInvalidRequest);
  AlterConfigsRequest alter;
  alter.resources = {{kBroker, "0", {{"message.max.bytes", "1"}}}};
  EXPECT_EQ(world_.Ask<AlterConfigsResponse>(alter).responses.at(0).error_code, ErrorCode::kInvalidRequest);
}

TEST_F(ConfigsTest, ChangesSingleSettings) {
  EXPECT_EQ(Change("retention.ms", kSet, "5000"), ErrorCode::kNone);
  EXPECT_EQ(Change("selvage.priority", kSet, "9"), ErrorCode::kNone);
  EXPECT_EQ(Value("retention.ms"), "5000");
  EXPECT_EQ(Value("selvage.priority"), "9");
  EXPECT_EQ(Change("retention.ms", kDelete, std::nullopt), ErrorCode::kNone);
  EXPECT_EQ(Value("retention.ms"), "604800000");
  EXPECT_EQ(Value("selvage.priority"), "9") << "the others stay";
  EXPECT_EQ(Change("retention.ms", kSet, "7000", /*validate_only=*/true), ErrorCode::kNone);
  EXPECT_EQ(Value("retention.ms"), "604800000");
  world_.Restart();
  EXPECT_EQ(Value("selvage.priority"), "9");
}

TEST_F(ConfigsTest, ListsTakeAndLoseWords) {
  EXPECT_EQ(Change("cleanup.policy", kAppend, "delete"), ErrorCode::kNone) << "it is there already";
  EXPECT_EQ(Change("cleanup.policy", kSubtract, "delete"), ErrorCode::kInvalidConfig) << "nothing is left";
  EXPECT_EQ(Change("cleanup.policy", kAppend, "compact"), ErrorCode::kInvalidConfig) << "it is replicated";
  EXPECT_EQ(Change("retention.ms", kAppend, "1"), ErrorCode::kInvalidConfig) << "it is no list";
  world_.MakeTopic("local");
  IncrementalAlterConfigsRequest request;
  request.resources = {{kTopic, "local", {{"cleanup.policy", kAppend, "compact"}}}};
  EXPECT_EQ(world_.Ask<IncrementalAlterConfigsResponse>(request).responses.at(0).error_code,
            ErrorCode::kNone);
  EXPECT_EQ(Describe(kTopic, "local", {{"cleanup.policy"}}).configs.at(0).value, "compact,delete");
  request.resources[0].configs[0] = {"cleanup.policy", kSubtract, "delete"};
  EXPECT_EQ(world_.Ask<IncrementalAlterConfigsResponse>(request).responses.at(0).error_code,
            ErrorCode::kNone);
  EXPECT_EQ(Describe(kTopic, "local", {{"cleanup.policy"}}).configs.at(0).value, "compact");
}

TEST_F(ConfigsTest, ABatchMayBeAsLargeAsTopicAndNodeAllow) {
  EXPECT_EQ(Value("max.message.bytes"), "1048588");
  EXPECT_EQ(Change("max.message.bytes", kSet, "5000"), ErrorCode::kNone);
  EXPECT_EQ(Value("max.message.bytes"), "5000");
  EXPECT_EQ(Change("max.message.bytes", kSet, "9999999"), ErrorCode::kNone);
  EXPECT_EQ(Value("max.message.bytes"), "1048588") << "what holds";
}

TEST_F(ConfigsTest, RefusesWhatCannotBe) {
  EXPECT_EQ(Change("no.such", kSet, "1"), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Change("retention.ms", kSet, std::nullopt), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Change("retention.ms", 9, "1"), ErrorCode::kInvalidRequest);
  EXPECT_EQ(Change("retention.ms", kSet, "-2"), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Change("selvage.priority", kSet, "10"), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Change("selvage.weight", kSet, "0"), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Change("selvage.on_full", kSet, "drop"), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Change("selvage.detached", kSet, "yes"), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Change("compression.type", kSet, "gzip"), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Change("selvage.direction", kSet, "local"), ErrorCode::kPolicyViolation);
  EXPECT_EQ(Change("selvage.direction", kSet, "up"), ErrorCode::kNone) << "as it is";
  EXPECT_EQ(Change("segment.bytes", kSet, "1"), ErrorCode::kNone) << "has no effect here";
}

TEST_F(ConfigsTest, ReplacingAllSetsTheRestToDefaults) {
  EXPECT_EQ(Change("selvage.priority", kSet, "9"), ErrorCode::kNone);
  EXPECT_EQ(Replace({{"retention.ms", "1234"}}), ErrorCode::kNone);
  EXPECT_EQ(Value("retention.ms"), "1234");
  EXPECT_EQ(Value("selvage.priority"), "5");
  EXPECT_EQ(Replace({{"no.such", "1"}}), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Value("retention.ms"), "1234") << "all or nothing";
}

TEST_F(ConfigsTest, ASettingOfADefinitionOfTheCoreIsChangedThere) {
  v1::StreamDefinition definition = world_.topics().Find("t")->definition;
  definition.set_generation(3);
  ASSERT_TRUE(world_.node().catalog().Put(definition).ok());
  EXPECT_EQ(Change("retention.ms", kSet, "5000"), ErrorCode::kPolicyViolation);
}

}  // namespace
}  // namespace selvage::kafka::test
