#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using testing::ElementsAre;
using Stub = ctl::Client::Stub;

/// What becomes of logs when a store is replaced, restored, copied or lost. Two edges with the stream
/// "readings"; the core holds "a" and "b" of each.
class SuccessionTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("readings", v1::UP)), IsOk());
    for (int i = 0; i < cluster_.edges(); ++i) {
      ASSERT_NO_FATAL_FAILURE(Write("a", i));
      ASSERT_NO_FATAL_FAILURE(Write("b", i));
      ASSERT_NO_FATAL_FAILURE(AwaitDrained(i));
    }
  }

  void Write(const std::string& value, int edge = 0) {
    ASSERT_THAT(ProduceSoon(cluster_.edge(edge), At("readings"), BatchOf({value})), IsOk());
  }
  void AwaitDrained(int edge = 0) {
    ASSERT_THAT(AwaitReplicated(cluster_.edge(edge), Cluster::EdgeName(edge), core(), "readings"), IsOk());
  }
  std::vector<std::string> AtCore(int edge = 0) {
    auto log = ReadLog(core(), At("readings", 0, Cluster::EdgeName(edge)));
    return log.ok() ? log->values() : std::vector<std::string>{selvage::Describe(log.status())};
  }
  v1::EdgeSummary EdgeAtCore(int edge = 0) {
    auto summary = Summary(core(), Cluster::EdgeName(edge));
    EXPECT_THAT(summary, IsOk());
    return summary.value_or(v1::EdgeSummary());
  }
  static void Wipe(const Daemon& daemon) { std::filesystem::remove_all(daemon.data_dir()); }
  static void Copy(const std::string& from, const std::string& to) {
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  }

  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(); }
  std::string Backup() const { return cluster_.dir().File("backup"); }

  Cluster cluster_{{.edges = 2}};
};

TEST_F(SuccessionTest, AReplacedEdgeGoesOnInTheSamePartitions) {
  const auto before = FindSummary(core(), At("readings", 0, "edge-0"));
  edge().Kill();
  Wipe(edge());
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_NO_FATAL_FAILURE(Write("c"));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());

  EXPECT_THAT(AtCore(), ElementsAre("a", "b", "c"));
  const auto after = FindSummary(core(), At("readings", 0, "edge-0"));
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->log_id(), before->log_id());
  EXPECT_EQ(after->slot(), before->slot());
  EXPECT_THAT(ReadLog(core(), At("readings", 0, "edge-0"))->leader_epochs,
              ElementsAre(LeaderEpoch(0), LeaderEpoch(0), LeaderEpoch(1)));
  EXPECT_TRUE(AwaitAlarm(core(), "edge_replaced").has_value());
}

TEST_F(SuccessionTest, ARestoredEdgeForksIntoANewSlotAndOverwritesNothing) {
  ASSERT_THAT(edge().Stop(), IsOk());
  Copy(edge().data_dir(), Backup());
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_NO_FATAL_FAILURE(Write("c"));
  ASSERT_NO_FATAL_FAILURE(Write("d"));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  const uint32_t old_slot = EdgeAtCore().slot();

  edge().Kill();
  Copy(Backup(), edge().data_dir());
  cluster_.link().Refuse(true);
  ASSERT_THAT(edge().Start(), IsOk());
  auto written = Produce(edge(), At("readings"), BatchOf({"other c"}));
  ASSERT_THAT(written, IsOk());
  EXPECT_EQ(written->base_offset(), 2);
  cluster_.link().Refuse(false);
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return EdgeAtCore().slot() != old_slot; }));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());

  EXPECT_THAT(EdgeAtCore().former_slots(), ElementsAre(old_slot));
  EXPECT_THAT(ReadLog(core(), At("readings", static_cast<int32_t>(old_slot)))->values(),
              ElementsAre("a", "b", "c", "d"));
  auto forked = ReadLog(core(), At("readings", 0, "edge-0"));
  ASSERT_THAT(forked, IsOk());
  EXPECT_THAT(forked->values(), ElementsAre("other c"));
  EXPECT_EQ(forked->records.front().offset, Offset(2));
  EXPECT_TRUE(AwaitAlarm(edge(), "fork").has_value());
  EXPECT_TRUE(AwaitAlarm(core(), "fork").has_value());
  ASSERT_NO_FATAL_FAILURE(Write("e"));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  EXPECT_THAT(AtCore(), ElementsAre("other c", "e"));
}

TEST_F(SuccessionTest, ARestoredEdgeThatWroteNothingSinceForksToo) {
  ASSERT_THAT(edge().Stop(), IsOk());
  Copy(edge().data_dir(), Backup());
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_NO_FATAL_FAILURE(Write("c"));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  const uint32_t old_slot = EdgeAtCore().slot();
  edge().Kill();
  Copy(Backup(), edge().data_dir());
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return EdgeAtCore().slot() != old_slot; }));
  ASSERT_NO_FATAL_FAILURE(Write("other c"));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  EXPECT_THAT(ReadLog(core(), At("readings", static_cast<int32_t>(old_slot)))->values(),
              ElementsAre("a", "b", "c"));
  EXPECT_THAT(AtCore(), ElementsAre("other c"));
}

TEST_F(SuccessionTest, ClonesAreHeldUntilAnOperatorDecides) {
  ASSERT_THAT(edge().Stop(), IsOk());
  auto twin = cluster_.MakeEdge("edge-0", core().admin_port(), "twin", {});
  ASSERT_THAT(twin, IsOk());
  Copy(edge().data_dir(), (*twin)->data_dir());
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_THAT(AwaitLinked(core(), "edge-0"), IsOk());
  ASSERT_THAT((*twin)->Start(), IsOk());

  auto alarm = AwaitAlarm(core(), "clone");
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->subject(), "edge-0");
  EXPECT_TRUE(alarm->needs_operator());
  EXPECT_TRUE(EdgeAtCore().held());
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return !EdgeAtCore().connected(); }));
  EXPECT_THAT(Produce(edge(), At("readings"), BatchOf({"c"})), IsOk()) << "a held edge keeps writing";

  ASSERT_THAT((*twin)->Stop(), IsOk());
  auto resolved = cluster_.Ctl(core(), {"alarm", "resolve", std::to_string(alarm->id())});
  ASSERT_THAT(resolved, IsOk());
  EXPECT_TRUE(resolved->exit.ok()) << resolved->err;
  ASSERT_THAT(AwaitLinked(core(), "edge-0", absl::Seconds(45)), IsOk());
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  EXPECT_THAT(AtCore(), ElementsAre("a", "b", "c"));
}

TEST_F(SuccessionTest, ADaemonOnAnothersStoreDoesNotStartUntilItIsToTakeItOver) {
  ASSERT_THAT(core().Stop(), IsOk());
  ASSERT_NO_FATAL_FAILURE(Write("c"));  // what the core never got from edge-0
  ASSERT_THAT(edge().Stop(), IsOk());
  Daemon& other = cluster_.edge(1);
  ASSERT_THAT(other.Stop(), IsOk());
  const std::string own = other.data_dir();
  for (const std::string& foreign : {edge().data_dir(), core().data_dir()}) {
    Copy(foreign, own);
    const size_t before = ReadFile(other.log_path()).size();
    ASSERT_THAT(other.Spawn(), IsOk());
    auto exit = other.AwaitExit(absl::Seconds(10));
    ASSERT_TRUE(exit.has_value());
    EXPECT_EQ(exit->code, 1);
    EXPECT_NE(ReadFile(other.log_path()).substr(before).find("foreign_store"), std::string::npos);
  }
  ASSERT_THAT(core().Start(), IsOk());

  Copy(edge().data_dir(), own);
  ASSERT_THAT(other.StartWith({"--take-store-of", "edge-0"}), IsOk());
  ASSERT_NO_FATAL_FAILURE(Write("d", 1));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained(1));
  EXPECT_THAT(AtCore(0), ElementsAre("a", "b"));
  EXPECT_THAT(AtCore(1), ElementsAre("c", "d")) << "and not again what the core has";
  ASSERT_THAT(other.Stop(), IsOk());
  ASSERT_THAT(other.Start(), IsOk()) << "it is its own from then on";
}

TEST_F(SuccessionTest, ANewCoreTakesWhatTheEdgesHoldIntoTheSameSlots) {
  v1::StreamDefinition brief = Definition("brief", v1::UP);
  brief.mutable_settings()->set_keep_after_ack(false);
  ASSERT_THAT(CreateStream(core(), brief), IsOk());
  ASSERT_THAT(ProduceSoon(edge(), At("brief"), BatchOf({"gone"})), IsOk());
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] {
    auto log = FindSummary(edge(), At("brief"));
    return log && log->start() == 1;
  }));
  std::vector<uint32_t> slots;
  for (int i = 0; i < cluster_.edges(); ++i) slots.push_back(EdgeAtCore(i).slot());

  core().Kill();
  Wipe(core());
  for (int i = 0; i < cluster_.edges(); ++i) cluster_.link(i).Refuse(true);
  ASSERT_THAT(core().Start(), IsOk());
  for (int i = cluster_.edges() - 1; i >= 0; --i) {  // not in the order of their slots
    cluster_.link(i).Refuse(false);
    ASSERT_THAT(AwaitLinked(core(), Cluster::EdgeName(i)), IsOk());
    ASSERT_NO_FATAL_FAILURE(Write("c", i));
    ASSERT_NO_FATAL_FAILURE(AwaitDrained(i));
    EXPECT_THAT(AtCore(i), ElementsAre("a", "b", "c"));
    EXPECT_EQ(EdgeAtCore(i).slot(), slots[static_cast<size_t>(i)]);
  }
  // What nobody holds any more is a gap, and its number is not used again.
  auto next = Produce(edge(), At("brief"), BatchOf({"kept"}));
  ASSERT_THAT(next, IsOk());
  EXPECT_EQ(next->base_offset(), 1);
  ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "brief"), IsOk());
  auto log = ReadLog(core(), At("brief", 0, "edge-0"));
  ASSERT_THAT(log, IsOk());
  EXPECT_THAT(log->values(), ElementsAre("kept"));
  ASSERT_EQ(log->gaps.size(), 1u);
  EXPECT_EQ(log->gaps[0].to, Offset(1));
  EXPECT_EQ(log->gaps[0].reason, "replica_regressed");
  EXPECT_TRUE(AwaitAlarm(edge(), "core_restored").has_value());
}

TEST_F(SuccessionTest, ACoreRestoredFromABackupGetsWhatItLacks) {
  ASSERT_THAT(core().Stop(), IsOk());
  Copy(core().data_dir(), Backup());
  ASSERT_THAT(core().Start(), IsOk());
  ASSERT_THAT(CreateStream(core(), Definition("later", v1::UP)), IsOk());
  ASSERT_THAT(ProduceSoon(edge(), At("later"), BatchOf({"x"})), IsOk());
  ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "later"), IsOk());
  ASSERT_NO_FATAL_FAILURE(Write("c"));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  const uint32_t slot = EdgeAtCore().slot();

  core().Kill();
  Copy(Backup(), core().data_dir());
  ASSERT_THAT(core().StartWith({"--restored"}), IsOk());
  ASSERT_THAT(AwaitLinked(core(), "edge-0"), IsOk());
  ASSERT_NO_FATAL_FAILURE(Write("d"));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  EXPECT_THAT(AtCore(), ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(EdgeAtCore().slot(), slot);
  ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "later"), IsOk());
  EXPECT_THAT(ReadLog(core(), At("later", 0, "edge-0"))->values(), ElementsAre("x"));
}

TEST_F(SuccessionTest, AStreamMadeAgainIsANewLog) {
  const auto before = FindSummary(core(), At("readings", 0, "edge-0"));
  ASSERT_TRUE(before.has_value());
  v1::DeleteStreamRequest request;
  request.set_stream("readings");
  ASSERT_THAT(core().Call(&Stub::DeleteStream, request), IsOk());
  EXPECT_TRUE(Eventually(absl::Seconds(10),
                         [&] { return !Produce(edge(), At("readings"), BatchOf({"late"})).ok(); }));
  EXPECT_THAT(Produce(edge(), At("readings"), BatchOf({"late"})), HasKind("unknown_stream"));
  ASSERT_THAT(CreateStream(core(), Definition("readings", v1::UP)), IsOk());
  ASSERT_NO_FATAL_FAILURE(Write("new"));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  const auto after = FindSummary(core(), At("readings", 0, "edge-0"));
  ASSERT_TRUE(after.has_value());
  EXPECT_NE(after->log_id(), before->log_id());
  EXPECT_THAT(AtCore(), ElementsAre("new"));
  EXPECT_EQ(ReadLog(core(), At("readings", 0, "edge-0"))->start, Offset(0));
}

}  // namespace
}  // namespace selvage::test
