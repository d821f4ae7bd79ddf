#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SmokeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("readings", v1::UP, 2)), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("commands", v1::DOWN)), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("recipes", v1::DOWN_SHARED)), IsOk());
    for (int i = 0; i < cluster_.edges(); ++i) {
      ASSERT_THAT(AwaitLinked(core(), Cluster::EdgeName(i)), IsOk());
    }
  }

  void ProduceEverywhere() {
    for (int i = 0; i < cluster_.edges(); ++i) {
      const std::string edge = Cluster::EdgeName(i);
      for (int p = 0; p < 2; ++p) {
        ASSERT_THAT(ProduceSoon(cluster_.edge(i), At("readings", p), BatchOf({edge, fmt::format("p{}", p)})),
                    IsOk());
      }
      ASSERT_THAT(Produce(core(), At("commands", 0, edge), BatchOf({"do " + edge})), IsOk());
    }
    ASSERT_THAT(Produce(core(), At("recipes"), BatchOf({"bread", "soup"}, Codec::kZstd)), IsOk());
  }

  void ExpectEverythingEverywhere() {
    for (int i = 0; i < cluster_.edges(); ++i) {
      const std::string edge = Cluster::EdgeName(i);
      for (int p = 0; p < 2; ++p) {
        ASSERT_THAT(AwaitEnd(core(), At("readings", p, edge), Offset(2)), IsOk());
        EXPECT_THAT(ReadLog(core(), At("readings", p, edge))->values(),
                    ElementsAre(edge, fmt::format("p{}", p)));
      }
      ASSERT_THAT(AwaitEnd(cluster_.edge(i), At("commands"), Offset(1)), IsOk());
      EXPECT_THAT(ReadLog(cluster_.edge(i), At("commands"))->values(), ElementsAre("do " + edge));
      ASSERT_THAT(AwaitEnd(cluster_.edge(i), At("recipes"), Offset(2)), IsOk());
      EXPECT_THAT(ReadLog(cluster_.edge(i), At("recipes"))->values(), ElementsAre("bread", "soup"));
    }
  }

  /// "stream: state" of those flows that a node shows as behind. How far a down stream goes is known at the
  /// core.
  static std::string Behind(Daemon& node, int flows_expected) {
    auto status = NodeStatus(node);
    if (!status.ok()) return std::string(status.status().message());
    std::string behind;
    for (const v1::FlowStatus& flow : status->flows()) {
      if (status->role() == "edge" && flow.direction() != v1::UP) continue;
      if (flow.state() == "caught_up" && flow.source_end() == flow.replica_end()) continue;
      behind += fmt::format("{}/{}/{}: {} ", flow.edge(), flow.stream(), flow.partition(), flow.state());
    }
    if (status->flows_size() != flows_expected) behind += fmt::format("{} flows", status->flows_size());
    return behind;
  }

  Daemon& core() { return cluster_.core(); }

  Cluster cluster_{{.edges = 2}};
};

TEST_F(SmokeTest, StreamsOfEveryDirectionArriveAndSurviveARestart) {
  ASSERT_NO_FATAL_FAILURE(ProduceEverywhere());
  ASSERT_NO_FATAL_FAILURE(ExpectEverythingEverywhere());

  for (int i = 0; i < cluster_.edges(); ++i) EXPECT_THAT(cluster_.edge(i).Stop(), IsOk());
  EXPECT_THAT(core().Stop(), IsOk());
  ASSERT_THAT(core().Start(), IsOk());
  for (int i = 0; i < cluster_.edges(); ++i) ASSERT_THAT(cluster_.edge(i).Start(), IsOk());
  ASSERT_NO_FATAL_FAILURE(ExpectEverythingEverywhere());

  ASSERT_THAT(ProduceSoon(cluster_.edge(0), At("readings"), BatchOf({"after"})), IsOk());
  ASSERT_THAT(AwaitEnd(core(), At("readings", 0, "edge-0"), Offset(3)), IsOk());
  EXPECT_THAT(ReadLog(core(), At("readings", 0, "edge-0"))->values(), ElementsAre("edge-0", "p0", "after"));
}

TEST_F(SmokeTest, StatusSaysCaughtUpAtBothEnds) {
  ASSERT_NO_FATAL_FAILURE(ProduceEverywhere());
  ASSERT_NO_FATAL_FAILURE(ExpectEverythingEverywhere());
  std::string behind;
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    behind = Behind(cluster_.edge(0), 4);
    return behind.empty();
  })) << behind;
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    behind = Behind(core(), 8);
    return behind.empty();
  })) << behind;
  auto table = cluster_.Ctl(core(), {"status"});
  ASSERT_THAT(table, IsOk());
  EXPECT_TRUE(table->exit.ok()) << table->err;
  EXPECT_THAT(table->out, HasSubstr("caught_up"));
}

TEST_F(SmokeTest, VerifySaysEqual) {
  ASSERT_NO_FATAL_FAILURE(ProduceEverywhere());
  ASSERT_NO_FATAL_FAILURE(ExpectEverythingEverywhere());
  auto verify = cluster_.Ctl(core(), {"verify", "--edge-address", cluster_.edge(1).admin_address()});
  ASSERT_THAT(verify, IsOk());
  EXPECT_TRUE(verify->exit.ok()) << verify->out << verify->err;
  EXPECT_THAT(verify->out, HasSubstr("equal"));
}

TEST_F(SmokeTest, BothRunWithTheirAllocatorAndWithFastChecksums) {
  for (Daemon* node : {&core(), &cluster_.edge()}) {
    const auto metrics = node->Get("/metrics");
    ASSERT_THAT(metrics, IsOk());
    EXPECT_THAT(*metrics, HasSubstr("allocator=\"" SELVAGE_ALLOCATOR));
    EXPECT_THAT(ReadFile(node->log_path()), testing::Not(HasSubstr("checksums by table")));
  }
}

TEST_F(SmokeTest, TheEdgeKeepsWritingWhileTheCoreIsAway) {
  ASSERT_NO_FATAL_FAILURE(ProduceEverywhere());
  ASSERT_NO_FATAL_FAILURE(ExpectEverythingEverywhere());
  core().Kill();
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(Produce(cluster_.edge(0), At("readings", 1), BatchOf({fmt::format("offline {}", i)})),
                IsOk());
  }
  ASSERT_THAT(core().Start(), IsOk());
  ASSERT_THAT(AwaitReplicated(cluster_.edge(0), "edge-0", core(), "readings", 1), IsOk());
  auto log = ReadLog(core(), At("readings", 1, "edge-0"));
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(log->values().size(), 22u);
  EXPECT_EQ(log->values().back(), "offline 19");
}

}  // namespace
}  // namespace selvage::test
