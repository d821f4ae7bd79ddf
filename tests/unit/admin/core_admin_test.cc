#include "core/core_admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"
#include "tests/support/admit.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;

class CoreAdminTest : public testing::Test {
 protected:
  absl::StatusOr<v1::StreamDefinition> Create(const v1::StreamDefinition& definition) {
    v1::CreateStreamRequest request;
    *request.mutable_definition() = definition;
    return core_.Ask(&Stub::CreateStream, request);
  }
  /// `alarm` as the edge's last status has it.
  void EdgeReports(const std::string& edge, const v1::AlarmDocument& alarm) {
    v1::EdgeStatus status;
    *status.add_alarms() = alarm;
    test::Report(core_.fleet(), edge, status);
  }

  CoreNode core_;
};

TEST_F(CoreAdminTest, DefinesStreamsForTheFleet) {
  const auto created = Create(Definition("sensors", v1::UP, 2));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_GT(created->generation(), 0u);
  EXPECT_EQ(KindOf(Create(Definition("sensors", v1::UP))), "stream_exists");
  EXPECT_EQ(KindOf(Create(Definition("", v1::UP))), "invalid_stream");

  v1::SetStreamRequest set;
  set.set_stream("sensors");
  set.mutable_settings()->set_retention_ms(1000);
  set.add_fields("retention_ms");
  set.set_if_generation(created->generation());
  const auto changed = core_.Ask(&Stub::SetStream, set);
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_GT(changed->generation(), created->generation());
  EXPECT_EQ(core_.fleet().specs.For("any").streams(0).settings().retention_ms(), 1000)
      << "one command for all edges";

  const auto raced = core_.Ask(&Stub::SetStream, set);
  EXPECT_EQ(KindOf(raced), "generation_mismatch");
  EXPECT_TRUE(IsRetryable(raced.status()));
  set.set_stream("humidity");
  EXPECT_EQ(KindOf(core_.Ask(&Stub::SetStream, set)), "unknown_stream");
}

TEST_F(CoreAdminTest, ListsEdgesByLabel) {
  core_.Join("rig-7");
  core_.Join("rig-8");
  v1::SetEdgeRequest set;
  set.set_edge("rig-8");
  (*set.mutable_set_labels())["site"] = "north";
  (*set.mutable_set_labels())["line"] = "2";
  set.set_set_max_rate(true);
  set.set_max_rate(8000);
  const auto changed = core_.Ask(&Stub::SetEdge, set);
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->labels().at("site"), "north");
  EXPECT_EQ(changed->max_rate(), 8000u);

  EXPECT_EQ(core_.Ask(&Stub::ListEdges, v1::ListEdgesRequest())->edges_size(), 2);
  v1::ListEdgesRequest by_label;
  (*by_label.mutable_labels())["site"] = "north";
  ASSERT_EQ(core_.Ask(&Stub::ListEdges, by_label)->edges_size(), 1);
  EXPECT_EQ(core_.Ask(&Stub::ListEdges, by_label)->edges(0).edge(), "rig-8");
  (*by_label.mutable_labels())["line"] = "3";
  EXPECT_EQ(core_.Ask(&Stub::ListEdges, by_label)->edges_size(), 0) << "all labels must match";
  v1::ListEdgesRequest by_name;
  by_name.set_edge("rig-7");
  EXPECT_EQ(core_.Ask(&Stub::ListEdges, by_name)->edges(0).edge(), "rig-7");
  by_name.set_edge("rig-9");
  EXPECT_EQ(KindOf(core_.Ask(&Stub::ListEdges, by_name)), "unknown_edge");

  v1::SetEdgeRequest remove;
  remove.set_edge("rig-8");
  remove.add_remove_labels("line");
  EXPECT_FALSE(core_.Ask(&Stub::SetEdge, remove)->labels().contains("line"));
}

TEST_F(CoreAdminTest, RefusesLabelsThatAreNone) {
  core_.Join("rig-7");
  v1::SetEdgeRequest set;
  set.set_edge("rig-7");
  (*set.mutable_set_labels())["no spaces"] = "x";
  EXPECT_EQ(KindOf(core_.Ask(&Stub::SetEdge, set)), "invalid_label");
  set.mutable_set_labels()->clear();
  (*set.mutable_set_labels())["site"] = std::string(300, 'x');
  EXPECT_EQ(KindOf(core_.Ask(&Stub::SetEdge, set)), "invalid_label");
  set.mutable_set_labels()->clear();
  set.set_edge("rig-9");
  EXPECT_EQ(KindOf(core_.Ask(&Stub::SetEdge, set)), "unknown_edge");
}

TEST_F(CoreAdminTest, RetiresAnEdge) {
  core_.Join("rig-7");
  v1::RetireEdgeRequest retire;
  retire.set_edge("rig-7");
  const auto retired = core_.Ask(&Stub::RetireEdge, retire);
  ASSERT_TRUE(retired.ok());
  EXPECT_TRUE(retired->retired());
  retire.set_edge("rig-9");
  EXPECT_EQ(KindOf(core_.Ask(&Stub::RetireEdge, retire)), "unknown_edge");
}

TEST_F(CoreAdminTest, ShowsTheAlarmsThatEdgesReported) {
  core_.Join("rig-7");
  core_.node().alarms().Report({"clock_skew", "rig-7", "an hour", "", false});
  const uint64_t own = core_.node().alarms().All(false).front().id();
  v1::AlarmDocument alarm;
  alarm.set_id(own + 41);
  alarm.set_kind("fork");
  alarm.set_origin("somebody else");
  EdgeReports("rig-7", alarm);

  const auto list = core_.Ask(&Stub::ListAlarms, v1::ListAlarmsRequest());
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->alarms_size(), 2);
  EXPECT_EQ(list->alarms(0).origin(), "main");
  EXPECT_EQ(list->alarms(1).kind(), "fork");
  EXPECT_EQ(list->alarms(1).origin(), "rig-7");
  EXPECT_EQ(core_.Ask(&Stub::GetStatus, v1::GetStatusRequest())->open_alarms(), 2);

  v1::ResolveAlarmRequest resolve;
  resolve.set_id(own + 41);
  const auto refused = core_.Ask(&Stub::ResolveAlarm, resolve);
  EXPECT_EQ(KindOf(refused), "wrong_node");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("rig-7"));
  EXPECT_THAT(ErrorHint(refused.status()), HasSubstr("alarm resolve"));
  resolve.set_id(own);
  EXPECT_TRUE(core_.Ask(&Stub::ResolveAlarm, resolve)->resolved());
  resolve.set_id(9999);
  EXPECT_EQ(KindOf(core_.Ask(&Stub::ResolveAlarm, resolve)), "unknown_alarm");
}

TEST_F(CoreAdminTest, ListsLossesOfAnEdge) {
  const Admission edge = core_.Join("rig-7");
  ASSERT_TRUE(core_.fleet().streams.Create(Definition("notes", v1::LOCAL)).ok());
  core_.Replicate(edge, Definition("sensors", v1::UP), 0, {});
  const std::shared_ptr<Log> replica =
      core_.node().logs().Find({"rig-7", edge.slot, "sensors", PartitionId(0)});
  const std::shared_ptr<Log> own = core_.node().logs().Find({"", Slot(0), "notes", PartitionId(0)});
  ASSERT_TRUE(AppendGapNow(*replica, Offset(4), GapReason::kReplicaRegressed).ok());
  ASSERT_TRUE(AppendGapNow(*own, Offset(4), GapReason::kCorrupt).ok());
  EXPECT_EQ(core_.Ask(&Stub::ListLosses, v1::ListLossesRequest())->losses_size(), 2);
  v1::ListLossesRequest request;
  request.set_edge("rig-7");
  const auto losses = core_.Ask(&Stub::ListLosses, request);
  ASSERT_EQ(losses->losses_size(), 1);
  EXPECT_EQ(losses->losses(0).edge(), "rig-7");
  EXPECT_EQ(losses->losses(0).reason(), "replica_regressed");
}

TEST_F(CoreAdminTest, TellsTheStatusOfTheFleet) {
  const Admission edge = core_.Join("rig-7");
  const uint64_t link = core_.fleet().links.Linked("rig-7", SessionEpoch(1), {.close = [] {}, .wake = [] {}});
  core_.Replicate(edge, Definition("sensors", v1::UP), 0, {Batch({"a", "b"})});
  v1::EdgeStatus reported;
  v1::FlowStatus& flow = *reported.add_flows();
  flow.set_edge("rig-7");
  flow.set_stream("sensors");
  flow.set_direction(v1::UP);
  flow.set_state("streaming");
  flow.set_source_end(5);
  ASSERT_TRUE(core_.fleet().reports.Take("rig-7", link, reported).ok());

  v1::GetStatusRequest of_edge;
  of_edge.set_edge("rig-7");
  for (const auto& request : {v1::GetStatusRequest(), of_edge}) {
    const auto status = core_.Ask(&Stub::GetStatus, request);
    ASSERT_TRUE(status.ok()) << status.status();
    EXPECT_EQ(status->role(), "core");
    EXPECT_EQ(status->node(), "main");
    EXPECT_EQ(status->links(), 1);
    ASSERT_EQ(status->flows_size(), 1);
    EXPECT_EQ(status->flows(0).source_end(), 5);
    EXPECT_EQ(status->flows(0).replica_end(), 2) << "each end knows its own end best";
  }
  of_edge.set_edge("rig-9");
  EXPECT_EQ(KindOf(core_.Ask(&Stub::GetStatus, of_edge)), "unknown_edge");
  core_.fleet().links.Unlinked("rig-7", link);
  EXPECT_EQ(core_.Ask(&Stub::GetStatus, v1::GetStatusRequest())->links(), 0);
}

}  // namespace
}  // namespace selvage::test
