#include "fabric/base/error.h"
#include "tests/unit/link/linked_nodes.h"

/// Alarms that tell of a state, and end by themselves when the state is over.
namespace selvage {
namespace {

class AlarmsEndTest : public LinkedNodes {
 protected:
  std::string StateOf(const std::vector<v1::FlowStatus>& flows, const std::string& stream) {
    for (const v1::FlowStatus& flow : flows) {
      if (flow.stream() == stream) return flow.state();
    }
    return "no flow";
  }
  void HandleAtEdge(Session::Event event) { ends_[0].handler->Handle(*ends_[0].session, event); }
};

TEST_F(AlarmsEndTest, ADefinitionThatNoLongerStandsInTheWay) {
  CreateStream("temperature", v1::UP);
  v1::StreamDefinition other;
  other.set_name("temperature");
  other.set_direction(v1::UP);
  other.set_partitions(3);
  ASSERT_TRUE(edge_.edge->CreateStream(other).ok());
  Link();
  Pass(3);
  EXPECT_TRUE(edge_.OpenAlarm("definition_mismatch"));
  EXPECT_TRUE(core_.OpenAlarm("definition_mismatch"));

  ASSERT_TRUE(edge_.edge->DeleteStream("temperature").ok());
  Pass(25);
  EXPECT_FALSE(edge_.OpenAlarm("definition_mismatch"));
  EXPECT_FALSE(core_.OpenAlarm("definition_mismatch"))
      << core_.OpenAlarm("definition_mismatch")->ShortDebugString();
  EXPECT_EQ(edge_.state->catalog().Find("temperature")->partitions(), 1);
  EXPECT_EQ(StateOf(edge_.edge->FlowStatuses(), "temperature"), "caught_up");
}

TEST_F(AlarmsEndTest, ALinkThatTheCoreTakesAgain) {
  Link();
  HandleAtEdge(Session::PeerClosed{
      MakeError(absl::StatusCode::kPermissionDenied, "edge_retired", "this edge is retired"), {}});
  ASSERT_TRUE(edge_.OpenAlarm("link_refused"));
  Unlink();
  Link();
  Pass(1);
  EXPECT_FALSE(edge_.OpenAlarm("link_refused"));
}

TEST_F(AlarmsEndTest, AFlowThatIsTakenOnALaterLink) {
  CreateStream("up", v1::UP);
  CreateStream("down", v1::DOWN);
  Link();
  Pass(2);
  edge_.state->alarms().Report({"flow_held", "up/0", "of the link before", "", false});
  edge_.state->alarms().Report({"flow_held", "deleted/0", "of a stream that is gone", "", false});
  core_.state->alarms().Report({"flow_held", "rig/down/0 down", "of the link before", "", false, "rig"});
  core_.state->alarms().Report(
      {"flow_held", "rig/deleted/0 down", "of a stream that is gone", "", false, "rig"});
  core_.state->alarms().Report({"log_held", "rig/up/0", "not about the flow", "", true});
  Unlink();
  Link();
  Pass(3);
  EXPECT_FALSE(edge_.OpenAlarm("flow_held"));
  EXPECT_FALSE(core_.OpenAlarm("flow_held"));
  EXPECT_TRUE(core_.OpenAlarm("log_held"));
}

TEST_F(AlarmsEndTest, ASpecThatCanBeAppliedNow) {
  Link();
  Pass(1);
  edge_.state->alarms().Report({"spec_refused", "rig", "the disk was full", "", true});
  CreateStream("up", v1::UP);
  Pass(2);
  EXPECT_FALSE(edge_.OpenAlarm("spec_refused"));
}

TEST_F(AlarmsEndTest, ADownFlowThatEndedIsNotShownAsStreaming) {
  CreateStream("down", v1::DOWN);
  CreateStream("other", v1::DOWN);
  Link();
  Pass(2);
  core_.Append(Down(), 3);
  Pass(2);
  ASSERT_EQ(StateOf(edge_.edge->FlowStatuses(), "down"), "caught_up");
  ASSERT_EQ(StateOf(edge_.edge->FlowStatuses(), "other"), "caught_up");
  for (const v1::Frame& frame : ends_[1].sent) {
    if (!frame.has_flow_open()) continue;
    Session::FlowEnded ended{replication::FlowNumber(frame.flow_open().flow()), frame.flow_open().kind(),
                             absl::OkStatus()};
    if (frame.flow_open().stream().name() == "down")
      ended.why = absl::DataLossError("what came does not fit");
    HandleAtEdge(ended);
  }
  ends_[0].handler->Tick(*ends_[0].session);
  EXPECT_EQ(StateOf(edge_.edge->FlowStatuses(), "down"), "held");
  EXPECT_EQ(StateOf(edge_.edge->FlowStatuses(), "other"), "offline");
}

TEST_F(AlarmsEndTest, AConnectedEdgesFlowsAreNotOfflineWhateverItsOldReportSays) {
  CreateStream("up", v1::UP);
  Link();
  Pass(2);
  edge_.Append(Up(), 2);
  Pass(2);
  v1::EdgeStatus old = edge_.edge->MakeStatus();
  for (v1::FlowStatus& flow : *old.mutable_flows()) flow.set_state("offline");
  ASSERT_TRUE(core_.fleet->reports.Take("rig", 1, old).ok());
  EXPECT_EQ(StateOf(core_.fleet->view.FlowStatuses("rig"), "up"), "caught_up");
  Unlink();
  EXPECT_EQ(StateOf(core_.fleet->view.FlowStatuses("rig"), "up"), "offline");
  EXPECT_EQ(StateOf(edge_.edge->FlowStatuses(), "up"), "offline");
}

TEST_F(AlarmsEndTest, AFlowThatIsAboutToOpenIsNotOffline) {
  Link();
  Pass(1);
  v1::StreamDefinition fresh;
  fresh.set_name("fresh");
  fresh.set_direction(v1::UP);
  ASSERT_TRUE(edge_.edge->CreateStream(fresh).ok());
  EXPECT_EQ(StateOf(edge_.edge->FlowStatuses(), "fresh"), "opening");
}

}  // namespace
}  // namespace selvage
