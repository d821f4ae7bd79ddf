#include <fmt/format.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafkacpp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

/// A consumer group that goes on at the core where it stopped at an edge, and back, with selvagectl and a
/// real client.
namespace selvage::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// The next `count` values that the group "billing" has not seen of a topic; they are committed before it
/// leaves.
std::vector<std::string> Consume(const Daemon& node, const std::string& topic, size_t count) {
  const std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  std::string error;
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"bootstrap.servers", node.kafka_address()},
                                          {"group.id", "billing"},
                                          {"auto.offset.reset", "earliest"},
                                          {"enable.auto.commit", "false"}}) {
    EXPECT_EQ(conf->set(name, value, error), RdKafka::Conf::CONF_OK) << error;
  }
  const std::unique_ptr<RdKafka::KafkaConsumer> consumer(RdKafka::KafkaConsumer::create(conf.get(), error));
  EXPECT_NE(consumer, nullptr) << error;
  EXPECT_EQ(consumer->subscribe({topic}), RdKafka::ERR_NO_ERROR);
  std::vector<std::string> values;
  EXPECT_TRUE(Eventually(absl::Seconds(40), [&] {
    const std::unique_ptr<RdKafka::Message> message(consumer->consume(100));
    if (message->err() == RdKafka::ERR_NO_ERROR) {
      values.emplace_back(static_cast<const char*>(message->payload()), message->len());
      EXPECT_EQ(consumer->commitSync(message.get()), RdKafka::ERR_NO_ERROR);
    }
    return values.size() == count;
  }));
  consumer->close();
  return values;
}

class GroupMoveTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("readings", v1::UP)), IsOk());
  }
  /// Each in a batch of its own, at the edge.
  void Write(const std::vector<std::string>& values) {
    for (const std::string& value : values)
      ASSERT_THAT(ProduceSoon(edge(), At("readings"), BatchOf({value})), IsOk());
  }
  std::string Export(const Daemon& node) {
    const auto exported = cluster_.Ctl(node, {"group", "export", "billing"});
    EXPECT_THAT(exported, IsOk());
    EXPECT_TRUE(exported->exit.ok()) << exported->err;
    return exported->out;
  }
  RunResult Import(const Daemon& node, const std::string& document, const std::string& how) {
    const auto imported = cluster_.Ctl(node, {"group", "import", "-", how, "edge-0"}, document);
    EXPECT_THAT(imported, IsOk());
    return *imported;
  }

  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(); }

  Cluster cluster_{{.edges = 1}};
};

TEST_F(GroupMoveTest, GoesOnAtTheCoreAndBackAtTheEdge) {
  ASSERT_NO_FATAL_FAILURE(Write({"1", "2", "3", "4", "5"}));
  EXPECT_THAT(Consume(edge(), "readings", 2), ElementsAre("1", "2"));
  ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());

  RunResult imported = Import(core(), Export(edge()), "--to-origin");
  ASSERT_TRUE(imported.exit.ok()) << imported.err;
  EXPECT_THAT(imported.out, HasSubstr("edge-0.readings"));
  EXPECT_THAT(Consume(core(), "edge-0.readings", 2), ElementsAre("3", "4"));

  imported = Import(edge(), Export(core()), "--from-origin");
  ASSERT_TRUE(imported.exit.ok()) << imported.err;
  ASSERT_NO_FATAL_FAILURE(Write({"6"}));
  EXPECT_THAT(Consume(edge(), "readings", 2), ElementsAre("5", "6"));
}

TEST_F(GroupMoveTest, IsRefusedUntilTheReplicaIsAsFarAsTheGroup) {
  ASSERT_NO_FATAL_FAILURE(Write({"1"}));
  ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
  cluster_.link().Refuse(true);
  cluster_.link().Cut();
  ASSERT_NO_FATAL_FAILURE(Write({"2", "3"}));
  EXPECT_THAT(Consume(edge(), "readings", 2), ElementsAre("1", "2"));

  const std::string document = Export(edge());
  RunResult imported = Import(core(), document, "--to-origin");
  EXPECT_FALSE(imported.exit.ok());
  EXPECT_THAT(imported.err, HasSubstr("2 is beyond"));
  EXPECT_THAT(imported.err, HasSubstr("a retry helps"));
  EXPECT_EQ(core().ErrorsCounted("offset_out_of_range"), 1);
  const auto groups = cluster_.Ctl(core(), {"group", "list"});
  ASSERT_THAT(groups, IsOk());
  EXPECT_THAT(groups->out, testing::Not(HasSubstr("billing"))) << "nothing of it was taken";

  cluster_.link().Refuse(false);
  ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
  imported = Import(core(), document, "--to-origin");
  ASSERT_TRUE(imported.exit.ok()) << imported.err;
  EXPECT_THAT(Consume(core(), "edge-0.readings", 1), ElementsAre("3"));
}

}  // namespace
}  // namespace selvage::test
