#include "fabric/kafka/protocol/create_partitions.h"
#include "fabric/kafka/protocol/create_topics.h"
#include "fabric/kafka/protocol/delete_topics.h"
#include "fabric/kafka/protocol/describe_cluster.h"
#include "fabric/kafka/protocol/metadata.h"
#include "tests/unit/kafka/handlers/handler_world.h"

namespace selvage::kafka::test {
namespace {

using testing::HasSubstr;

class TopicsTest : public testing::Test {
 protected:
  CreateTopicsResponse::Topic Create(const CreateTopicsRequest::Topic& topic, bool validate_only = false) {
    CreateTopicsRequest request;
    request.topics = {topic};
    request.validate_only = validate_only;
    return world_.Ask<CreateTopicsResponse>(request).topics.at(0);
  }
  ErrorCode Delete(const std::string& name) {
    DeleteTopicsRequest request;
    request.topics = {{name, {}}};
    return world_.Ask<DeleteTopicsResponse>(request).responses.at(0).error_code;
  }
  MetadataResponse Describe(std::optional<std::vector<MetadataRequest::Topic>> topics,
                            bool may_create = false) {
    MetadataRequest request;
    request.topics = std::move(topics);
    request.allow_auto_topic_creation = may_create;
    return world_.Ask<MetadataResponse>(request);
  }
  ErrorCode Look(const std::string& name, bool may_create = false) {
    MetadataRequest::Topic topic;
    topic.name = name;
    return Describe(std::vector<MetadataRequest::Topic>{topic}, may_create).topics.at(0).error_code;
  }
  ErrorCode Grow(const std::string& name, int32_t count, bool validate_only = false) {
    CreatePartitionsRequest request;
    request.topics = {{name, count, std::nullopt}};
    request.validate_only = validate_only;
    return world_.Ask<CreatePartitionsResponse>(request).results.at(0).error_code;
  }
  int32_t PartitionsOf(const std::string& name) {
    auto topic = world_.topics().Find(name);
    return topic.ok() ? topic->partitions : -1;
  }

  HandlerWorld world_;
};

TEST_F(TopicsTest, CreatesWithSettingsAndSaysWhatWasMade) {
  const auto made = Create({"readings", 3, 1, {}, {{"retention.ms", "60000"}, {"selvage.direction", "up"}}});
  EXPECT_EQ(made.error_code, ErrorCode::kNone) << made.error_message.value_or("");
  EXPECT_EQ(made.num_partitions, 3);
  EXPECT_EQ(made.replication_factor, 1);
  const auto definition = world_.topics().Find("readings")->definition;
  EXPECT_EQ(definition.direction(), v1::UP);
  EXPECT_EQ(definition.settings().retention_ms(), 60000);
  EXPECT_TRUE(definition.settings().keep_after_ack()) << "what is not said is as everywhere";
  ASSERT_TRUE(made.configs);
  for (const auto& config : *made.configs) {
    EXPECT_EQ(config.config_source == 1, config.name == "retention.ms") << config.name;
  }
}

TEST_F(TopicsTest, EveryVersionCreatesAndDeletes) {
  for (int16_t version = 2; version <= 7; ++version) {
    const std::string name = "t" + std::to_string(version);
    CreateTopicsRequest create;
    create.topics = {{name, 2, 1, {}, {}}};
    EXPECT_EQ(world_.Ask<CreateTopicsResponse>(create, version).topics.at(0).error_code, ErrorCode::kNone);
    EXPECT_EQ(PartitionsOf(name), 2);
  }
  for (int16_t version = 1; version <= 6; ++version) {
    const std::string name = "t" + std::to_string(version + 1);
    DeleteTopicsRequest remove;
    remove.topic_names = {name};
    remove.topics = {{name, {}}};
    const auto response = world_.Ask<DeleteTopicsResponse>(remove, version);
    ASSERT_EQ(response.responses.size(), 1u);
    EXPECT_EQ(response.responses[0].name, name);
    EXPECT_EQ(response.responses[0].error_code, ErrorCode::kNone);
    EXPECT_EQ(PartitionsOf(name), -1);
  }
}

TEST_F(TopicsTest, RefusesWhatItCannotMake) {
  world_.MakeTopic("there");
  const struct {
    CreateTopicsRequest::Topic topic;
    ErrorCode code;
  } cases[] = {
      {{"there", 1, 1, {}, {}}, ErrorCode::kTopicAlreadyExists},
      {{"a/b", 1, 1, {}, {}}, ErrorCode::kInvalidTopic},
      {{"", 1, 1, {}, {}}, ErrorCode::kInvalidTopic},
      {{std::string(250, 'x'), 1, 1, {}, {}}, ErrorCode::kInvalidTopic},
      {{"rig.own", 1, 1, {}, {}}, ErrorCode::kInvalidTopic},
      {{"t", 0, 1, {}, {}}, ErrorCode::kInvalidPartitions},
      {{"t", -2, 1, {}, {}}, ErrorCode::kInvalidPartitions},
      {{"t", 1, 3, {}, {}}, ErrorCode::kInvalidReplicationFactor},
      {{"t", 1, 0, {}, {}}, ErrorCode::kInvalidReplicationFactor},
      {{"t", 1, 1, {}, {{"no.such", "1"}}}, ErrorCode::kInvalidConfig},
      {{"t", 1, 1, {}, {{"retention.ms", std::nullopt}}}, ErrorCode::kInvalidConfig},
      {{"t", 1, 1, {}, {{"retention.ms", "soon"}}}, ErrorCode::kInvalidConfig},
      {{"t", 1, 1, {}, {{"min.insync.replicas", "2"}}}, ErrorCode::kInvalidConfig},
      {{"t", 1, 1, {}, {{"selvage.direction", "down"}}}, ErrorCode::kPolicyViolation},
      {{"t", 1, 1, {{0, {0}}}, {}}, ErrorCode::kInvalidRequest},
      {{"t", -1, -1, {{0, {1}}}, {}}, ErrorCode::kInvalidReplicaAssignment},
      {{"t", -1, -1, {{1, {0}}}, {}}, ErrorCode::kInvalidReplicaAssignment},
      {{"t", -1, -1, {{0, {0}}, {0, {0}}}, {}}, ErrorCode::kInvalidReplicaAssignment},
  };
  for (const auto& [topic, code] : cases) {
    for (const bool validate_only : {true, false}) {
      const auto row = Create(topic, validate_only);
      EXPECT_EQ(row.error_code, code) << topic.name << ": " << row.error_message.value_or("");
      EXPECT_TRUE(row.error_message && !row.error_message->empty());
    }
  }
  EXPECT_EQ(world_.topics().List().size(), 1u);
}

TEST_F(TopicsTest, DefaultsAndAssignmentsAndValidation) {
  EXPECT_EQ(Create({"t", 2, -1, {}, {}}, /*validate_only=*/true).num_partitions, 2);
  EXPECT_EQ(PartitionsOf("t"), -1) << "only validated";
  EXPECT_EQ(Create({"t", -1, -1, {}, {}}).num_partitions, 1);
  EXPECT_EQ(Create({"u", -1, -1, {{1, {0}}, {0, {0}}}, {}}).num_partitions, 2);
}

TEST_F(TopicsTest, ATopicNamedTwiceInOneRequestIsRefusedOnce) {
  CreateTopicsRequest request;
  request.topics = {{"t", 1, 1, {}, {}}, {"u", 1, 1, {}, {}}, {"t", 2, 1, {}, {}}};
  const auto response = world_.Ask<CreateTopicsResponse>(request);
  ASSERT_EQ(response.topics.size(), 2u);
  EXPECT_EQ(response.topics[0].error_code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(response.topics[1].error_code, ErrorCode::kNone);
  EXPECT_EQ(PartitionsOf("t"), -1);
}

TEST_F(TopicsTest, DeletingWhatIsNotThereOrByIdFails) {
  EXPECT_EQ(Delete("none"), ErrorCode::kUnknownTopicOrPartition);
  DeleteTopicsRequest request;
  request.topics = {{std::nullopt, TopicId::FromBytes(std::string(16, 'i')).value()}};
  const auto row = world_.Ask<DeleteTopicsResponse>(request).responses.at(0);
  EXPECT_EQ(row.error_code, ErrorCode::kUnknownTopicId);
  EXPECT_EQ(row.name, std::nullopt);
}

TEST_F(TopicsTest, LocalTopicsGetMorePartitions) {
  world_.MakeTopic("local", 2);
  world_.MakeTopic("up", 2, v1::UP);
  EXPECT_EQ(Grow("local", 4, /*validate_only=*/true), ErrorCode::kNone);
  EXPECT_EQ(PartitionsOf("local"), 2);
  EXPECT_EQ(Grow("local", 4), ErrorCode::kNone);
  EXPECT_EQ(PartitionsOf("local"), 4);
  EXPECT_EQ(world_.Write("local", {"a"}, 1, 3), 0);
  EXPECT_EQ(Grow("local", 4), ErrorCode::kInvalidPartitions);
  EXPECT_EQ(Grow("local", 3), ErrorCode::kInvalidPartitions);
  EXPECT_EQ(Grow("local", 2000), ErrorCode::kInvalidConfig);
  EXPECT_EQ(Grow("up", 4), ErrorCode::kPolicyViolation);
  EXPECT_EQ(Grow("none", 4), ErrorCode::kUnknownTopicOrPartition);
  CreatePartitionsRequest assigned;
  assigned.topics = {{"local", 5, std::vector<CreatePartitionsRequest::Topic::Assignment>{{{1}}}}};
  EXPECT_EQ(world_.Ask<CreatePartitionsResponse>(assigned).results.at(0).error_code,
            ErrorCode::kInvalidReplicaAssignment);
  world_.Restart();
  EXPECT_EQ(PartitionsOf("local"), 4);
  EXPECT_EQ(world_.LogOf("local", 3).state().end, Offset(1));
}

TEST_F(TopicsTest, MetadataSaysWhatThereIs) {
  world_.MakeTopic("t", 2);
  const auto all = Describe(std::nullopt);
  EXPECT_EQ(all.cluster_id, "cluster");
  ASSERT_EQ(all.brokers.size(), 1u);
  EXPECT_EQ(all.brokers[0].host, "127.0.0.1");
  EXPECT_EQ(all.brokers[0].port, 9092);
  EXPECT_EQ(all.controller_id, all.brokers[0].node_id);
  ASSERT_EQ(all.topics.size(), 1u);
  ASSERT_EQ(all.topics[0].partitions.size(), 2u);
  EXPECT_EQ(all.topics[0].partitions[1].partition_index, 1);
  EXPECT_EQ(all.topics[0].partitions[1].leader_id, 0);
  EXPECT_TRUE(Describe(std::vector<MetadataRequest::Topic>()).topics.empty());
  MetadataRequest oldest;
  oldest.topics.emplace();
  EXPECT_EQ(world_.Ask<MetadataResponse>(oldest, 0).topics.size(), 1u) << "in version 0, none means all";
}

TEST_F(TopicsTest, MetadataMakesTopicsWhenTheClientMay) {
  EXPECT_EQ(Look("new"), ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(Look("new", true), ErrorCode::kNone);
  EXPECT_EQ(world_.topics().Find("new")->definition.settings().retention_ms(), 7 * 24 * 3600 * 1000);
  EXPECT_EQ(Look("a b", true), ErrorCode::kInvalidTopic);
  EXPECT_EQ(Look("rig.own", true), ErrorCode::kInvalidTopic);
  MetadataRequest::Topic by_id;
  by_id.topic_id = TopicId::FromBytes(std::string(16, 'i')).value();
  EXPECT_EQ(Describe(std::vector<MetadataRequest::Topic>{by_id}, true).topics.at(0).error_code,
            ErrorCode::kUnknownTopicId);
  Settings never = HandlerWorld::DefaultSettings();
  never.auto_create = false;
  HandlerWorld strict(never);
  MetadataRequest request;
  request.topics.emplace().emplace_back().name = "new";
  EXPECT_EQ(strict.Ask<MetadataResponse>(request).topics.at(0).error_code,
            ErrorCode::kUnknownTopicOrPartition);
}

TEST_F(TopicsTest, WhoAsksIsToldThatAllIsAllowed) {
  constexpr int32_t kNotAsked = INT32_MIN;
  world_.MakeTopic("t");
  MetadataRequest request;
  EXPECT_EQ(world_.Ask<MetadataResponse>(request).topics.at(0).topic_authorized_operations, kNotAsked);
  request.topics.emplace().emplace_back().name = "t";
  request.topics->emplace_back().name = "nowhere";
  request.allow_auto_topic_creation = false;
  request.include_topic_authorized_operations = request.include_cluster_authorized_operations = true;
  const auto described = world_.Ask<MetadataResponse>(request, 10);
  // Read, write, create, delete, alter, describe, describe and alter configurations.
  EXPECT_EQ(described.topics.at(0).topic_authorized_operations, 0b1101'1111'1000);
  EXPECT_EQ(described.topics.at(1).topic_authorized_operations, kNotAsked);
  // Create, alter, describe, cluster action, describe and alter configurations, idempotent write.
  constexpr int32_t kOfCluster = 0b1'1111'1010'0000;
  EXPECT_EQ(described.cluster_authorized_operations, kOfCluster);
  DescribeClusterRequest cluster;
  EXPECT_EQ(world_.Ask<DescribeClusterResponse>(cluster).cluster_authorized_operations, kNotAsked);
  cluster.include_cluster_authorized_operations = true;
  EXPECT_EQ(world_.Ask<DescribeClusterResponse>(cluster).cluster_authorized_operations, kOfCluster);
}

TEST_F(TopicsTest, TheClusterIsOneBroker) {
  const auto brokers = world_.Ask<DescribeClusterResponse>(DescribeClusterRequest());
  EXPECT_EQ(brokers.cluster_id, "cluster");
  ASSERT_EQ(brokers.brokers.size(), 1u);
  EXPECT_EQ(brokers.brokers[0].port, 9092);
  DescribeClusterRequest controllers;
  controllers.endpoint_type = 2;
  EXPECT_EQ(world_.Ask<DescribeClusterResponse>(controllers).error_code, ErrorCode::kInvalidRequest);
}

}  // namespace
}  // namespace selvage::kafka::test
