#include <malloc.h>

#include "fabric/replication/message.h"
#include "fabric/telemetry/log.h"
#include "tests/support/admit.h"
#include "tests/unit/link/linked_nodes.h"

/// Every hold has a way out that keeps the data (docs/reliability.md): each is walked through here, but for
/// those of whole logs (log_recovery_test, repair_flows_test) and of whole edges (admission_test,
/// succession_test).
namespace selvage {
namespace {

using ::testing::HasSubstr;

class HeldFlowsTest : public LinkedNodes {
 protected:
  HeldFlowsTest() { ConfigureLog({.level = LogLevel::kError}); }
  static v1::StreamDefinition Definition(const std::string& name, v1::Direction direction,
                                         int32_t partitions = 1) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(direction);
    definition.set_partitions(partitions);
    return definition;
  }
  EmbeddedLog& MakeAtEdge(const std::string& name, int32_t partitions = 1) {
    SELVAGE_CHECK(edge_.edge->CreateStream(Definition(name, v1::UP, partitions)).ok());
    EmbeddedLog& log = OwnLog(name);
    edge_.Append(log, 3);
    return log;
  }
  EmbeddedLog& OwnLog(const std::string& name) { return edge_.Find({"", Slot(0), name, PartitionId(0)}); }
  std::shared_ptr<EmbeddedLog> Replica(const std::string& name) {
    return core_.state->embedded_logs().FindEmbedded(
        {"rig", core_.fleet->SlotOf("rig").value_or(Slot(0)), name, PartitionId(0)});
  }
  void ExpectReplicated(const std::string& name) {
    ASSERT_NE(Replica(name), nullptr) << name;
    EXPECT_EQ(Replica(name)->state().position(), OwnLog(name).state().position());
    EXPECT_EQ(Replica(name)->state().end, Offset(3));
  }
  /// Another edge that once linked.
  void Join(const std::string& edge) {
    v1::Hello hello;
    hello.set_protocol(replication::kLinkProtocol);
    hello.set_edge(edge);
    hello.set_store_id(std::string(16, 's'));
    hello.set_boot_id(std::string(16, 'b'));
    hello.set_empty(true);
    ASSERT_TRUE(test::Admit(*core_.fleet, hello).ok());
  }
  void Relink() {
    Unlink();
    Link();
    Pass(3);
  }
  /// True when either end wants the link made anew.
  bool WantsRelink() {
    for (End& end : ends_) end.handler->Tick(*end.session);
    for (End& end : ends_) {
      if (end.session->TakeReady(end.node->clock.Monotonic(), 0).closed) return true;
    }
    return false;
  }
};

TEST_F(HeldFlowsTest, ADottedNameIsTakenWhileThereIsNoSuchEdge) {
  CreateStream("alarms", v1::UP);
  MakeAtEdge("plant.alarms");
  Link();
  Pass(2);
  ExpectReplicated("plant.alarms");
  EXPECT_FALSE(core_.OpenAlarm("name_reserved"));
}

TEST_F(HeldFlowsTest, ADottedNameOfAnEdgeThatThereIsGetsAnotherOneWithAllItsRecords) {
  CreateStream("alarms", v1::UP);
  Join("plant");
  MakeAtEdge("plant.alarms");
  const LogState before = OwnLog("plant.alarms").state();
  Link();
  Pass(2);
  const std::shared_ptr<EmbeddedLog> replica = Replica("plant.alarms");
  ASSERT_EQ(replica, nullptr);
  ASSERT_TRUE(core_.OpenAlarm("name_reserved"));
  EXPECT_EQ(core_.OpenAlarm("name_reserved")->subject(), "rig/plant.alarms/0");
  EXPECT_THAT(core_.OpenAlarm("name_reserved")->hint(), HasSubstr("stream rename plant.alarms"));
  ASSERT_TRUE(edge_.OpenAlarm("flow_held"));

  // The operator's word alone has it tried again, which says the same.
  ASSERT_TRUE(core_.state->alarms().Resolve(core_.OpenAlarm("name_reserved")->id(), "").ok());
  EXPECT_TRUE(WantsRelink());
  Relink();
  ASSERT_TRUE(core_.OpenAlarm("name_reserved"));

  auto renamed = edge_.edge->RenameStream("plant.alarms", "plant-alarms");
  ASSERT_TRUE(renamed.ok()) << Describe(renamed.status());
  EXPECT_FALSE(edge_.OpenAlarm("flow_held"));
  EXPECT_TRUE(WantsRelink());
  Relink();
  EXPECT_EQ(OwnLog("plant-alarms").state().position(), before.position());
  ExpectReplicated("plant-alarms");
  EXPECT_FALSE(core_.OpenAlarm("name_reserved")) << "nobody offers it any more";
  EXPECT_EQ(ErrorKind(edge_.edge->RenameStream("plant-alarms", "other").status()), "wrong_node");

  edge_.Append(OwnLog("plant-alarms"), 2);
  Unlink();
  edge_.Restart();
  EXPECT_EQ(OwnLog("plant-alarms").state().end, Offset(5)) << "also after a restart";
  EXPECT_FALSE(edge_.state->catalog().Find("plant.alarms"));
  Link();
  Pass(2);
  EXPECT_EQ(Replica("plant-alarms")->state().end, Offset(5));
}

TEST_F(HeldFlowsTest, DefinitionsThatDisagreeAreSettledByAnotherName) {
  MakeAtEdge("vibration", 2);
  SELVAGE_CHECK(core_.fleet->CreateStream(Definition("vibration", v1::UP, 3)).ok());
  Link();
  Pass(2);
  ASSERT_TRUE(core_.OpenAlarm("definition_mismatch"));
  ASSERT_TRUE(edge_.OpenAlarm("definition_mismatch"));
  ASSERT_TRUE(edge_.edge->RenameStream("vibration", "vibration-2").ok());
  EXPECT_FALSE(edge_.OpenAlarm("definition_mismatch"));
  EXPECT_EQ(edge_.state->catalog().Find("vibration")->partitions(), 3) << "what the core wants has room now";
  Relink();
  ExpectReplicated("vibration-2");
  edge_.Append(OwnLog("vibration"), 3);
  Pass(2);
  ExpectReplicated("vibration");
  EXPECT_FALSE(core_.OpenAlarm("definition_mismatch"));
}

TEST_F(HeldFlowsTest, WhatIsMendedAtTheCoreGoesOnWithinAMinuteOnTheSameLink) {
  MakeAtEdge("vibration", 2);
  SELVAGE_CHECK(core_.fleet->CreateStream(Definition("vibration", v1::UP, 3)).ok());
  Link();
  Pass(2);
  ASSERT_TRUE(core_.OpenAlarm("definition_mismatch"));
  SELVAGE_CHECK(core_.fleet->DeleteStream("vibration").ok());
  Pass(65);
  ExpectReplicated("vibration");
  EXPECT_FALSE(core_.OpenAlarm("definition_mismatch"));
  EXPECT_FALSE(edge_.OpenAlarm("flow_held"));
}

TEST_F(HeldFlowsTest, ADownStreamWhoseNameIsTakenAtTheEdgeComesOnceThatOneHasAnother) {
  MakeAtEdge("setpoints");
  CreateStream("setpoints", v1::DOWN);
  Link();
  Pass(2);
  ASSERT_TRUE(core_.OpenAlarm("flow_held"));
  EXPECT_EQ(core_.OpenAlarm("flow_held")->subject(), "rig/setpoints/0 down");
  EmbeddedLog& down = core_.Find({"rig", Slot(0), "setpoints", PartitionId(0)});
  core_.Append(down, 4);
  ASSERT_TRUE(edge_.edge->RenameStream("setpoints", "readings").ok());
  Relink();
  EXPECT_EQ(edge_.Find({std::string(kCoreOrigin), Slot(0), "setpoints", PartitionId(0)}).state().position(),
            down.state().position());
  ExpectReplicated("readings");
  Pass(1);
  EXPECT_FALSE(core_.OpenAlarm("flow_held"));
}

TEST_F(HeldFlowsTest, WhatTheCoreHoldsIsNotRenamed) {
  MakeAtEdge("readings");
  Link();
  Pass(2);
  Unlink();
  // As when the core's answer to the offer was lost: the edge does not know that the core knows it.
  v1::StreamDefinition definition = *edge_.state->catalog().Find("readings");
  definition.set_generation(0);
  definition.set_created(0);
  ASSERT_TRUE(edge_.state->catalog().Put(definition).ok());
  EXPECT_EQ(ErrorKind(edge_.edge->RenameStream("readings", "other").status()), "stream_replicated");
  EXPECT_EQ(OwnLog("readings").state().end, Offset(3));
}

TEST_F(HeldFlowsTest, ARetiredEdgesStoreGoesOnUnderAnotherId) {
  MakeAtEdge("readings");
  Link();
  Pass(2);
  Unlink();
  edge_.Append(OwnLog("readings"), 2);  // the core never sees them as those of "rig"
  ASSERT_TRUE(edge_.state->embedded_logs().FlushAcknowledged().ok());
  ASSERT_TRUE(core_.fleet->Retire("rig").ok());
  v1::Hello hello = edge_.edge->MakeHello();
  EXPECT_EQ(ErrorKind(test::Admit(*core_.fleet, hello).status()), "edge_retired");

  edge_.TakeOver("rig-2");
  hello = edge_.edge->MakeHello();
  EXPECT_EQ(hello.edge(), "rig-2");
  name_ = "rig-2";
  Link();
  Pass(2);
  EmbeddedLog& replica = core_.Find({"rig-2", Slot(1), "readings", PartitionId(0)});
  EXPECT_EQ(replica.state().base, Offset(3))
      << "what the core had already is there under the former name alone";
  EXPECT_EQ(replica.state().end, Offset(5));
  EXPECT_EQ(Replica("readings")->state().end, Offset(3));
}

TEST_F(HeldFlowsTest, SharedStreamsBeginWhereTheyAreToldTo) {
  v1::StreamDefinition early = Definition("early", v1::DOWN_SHARED),
                       late = Definition("late", v1::DOWN_SHARED);
  late.mutable_settings()->set_start_at(v1::LATEST);
  SELVAGE_CHECK(core_.fleet->CreateStream(early).ok() && core_.fleet->CreateStream(late).ok());
  for (const char* name : {"early", "late"}) core_.Append(core_.Find({"", Slot(0), name, PartitionId(0)}), 3);
  Link();
  Pass(2);
  const auto replica = [&](const char* name) -> EmbeddedLog& {
    return edge_.Find({std::string(kCoreOrigin), Slot(0), name, PartitionId(0)});
  };
  EXPECT_EQ(replica("early").state().start, Offset(0));
  EXPECT_EQ(replica("early").state().end, Offset(3));
  EXPECT_EQ(replica("late").state().start, Offset(3));
  EXPECT_EQ(replica("late").state().end, Offset(3));
  Unlink();
  for (const char* name : {"early", "late"}) core_.Append(core_.Find({"", Slot(0), name, PartitionId(0)}), 2);
  Link();
  Pass(2);
  EXPECT_EQ(replica("late").state().start, Offset(3)) << "an edge that has a copy goes on where it ends";
  EXPECT_EQ(replica("late").state().end, Offset(5));
  EXPECT_EQ(replica("late").state().position(),
            core_.Find({"", Slot(0), "late", PartitionId(0)}).state().position());

  // The core was set back: its log gets another id, and whoever read the former one gets all of it.
  EmbeddedLog& log = core_.Find({"", Slot(0), "late", PartitionId(0)});
  ASSERT_TRUE(core_.fleet->BranchDownLog(log.shared_from_this(), log.state().position()).ok());
  Relink();
  EXPECT_EQ(replica("late").state().start, Offset(0));
  EXPECT_EQ(replica("late").state().end, Offset(5));
}

/// An edge that offers and closes without end costs the core no memory.
TEST_F(HeldFlowsTest, FlowsThatEndedTakeNoMemory) {
  MakeAtEdge("readings");
  Link();
  Pass(2);
  v1::Frame open;
  *open.mutable_flow_open() =
      LogFlowSource(OwnLog("readings").shared_from_this(), *edge_.state->catalog().Find("readings"))
          .Describe();
  uint32_t flow = 1'000;
  const auto round = [&] {
    open.mutable_flow_open()->set_flow(++flow);
    Deliver(ends_[1], v1::Frame(open));
    v1::Frame close;
    close.mutable_flow_close()->set_flow(flow);
    Deliver(ends_[1], std::move(close));
    Pump(ends_[1]);
    ends_[1].sent.clear();
  };
  for (int i = 0; i < 100; ++i) round();
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 5'000; ++i) round();
  EXPECT_LT(mallinfo2().uordblks, before + 100'000);
}

// Offers wait for the disk. A peer that offers and ends flows meanwhile does not fill the memory.
TEST_F(HeldFlowsTest, OffersThatWaitAreBounded) {
  std::vector<std::function<void()>> waiting;
  Link();
  Unlink();
  run_ = [&](std::function<void()> work) { waiting.push_back(std::move(work)); };
  Link();
  // The hello is answered, and then nothing more is done.
  for (int i = 0; i < 100 && !ends_[1].session->established(); ++i) {
    for (auto& work : std::exchange(waiting, {})) work();
    Settle();
  }
  ASSERT_TRUE(ends_[1].session->established());
  Session& core = *ends_[1].session;
  uint32_t offers = 0;
  absl::Status reason;
  for (uint32_t flow = 1000; reason.ok() && offers < 100'000; ++flow) {
    replication::Message open;
    open.frame.mutable_flow_open()->set_flow(flow);
    open.frame.mutable_flow_open()->set_kind(v1::STREAM);
    open.frame.mutable_flow_open()->mutable_stream()->set_name(std::string(3000, 'n'));
    core.Step(open, core_.clock.Monotonic());
    replication::Message close;
    close.frame.mutable_flow_close()->set_flow(flow);
    core.Step(close, core_.clock.Monotonic());
    ++offers;
    const Session::Ready ready = core.TakeReady(core_.clock.Monotonic(), 1 << 20);
    for (const Session::Event& event : ready.events) ends_[1].handler->Handle(core, event);
    if (ready.closed) reason = ready.reason;
  }
  EXPECT_EQ(ErrorKind(reason), "protocol_error");
  EXPECT_GT(offers, 5'000u);
  EXPECT_LT(offers, 10'000u) << "32 MiB of them";
  for (End& end : ends_) end = End();
}

}  // namespace
}  // namespace selvage
