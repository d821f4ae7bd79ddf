#include "fabric/control/link_repair.h"

#include "tests/unit/control/linked_nodes.h"

namespace selvage {
namespace {

using ::testing::HasSubstr;

constexpr int kEdge = 0;
constexpr int kCore = 1;

class LinkRepairTest : public LinkedNodes {
 protected:
  /// The edge asks, whatever its handler thinks.
  void Ask(uint32_t number, const v1::RepairRequest& repair) {
    v1::FlowRequest request;
    request.set_request(number);
    *request.mutable_repair() = repair;
    ends_[kEdge].session->SendRequest(request);
  }
  /// An up and a down stream with three entries each, replicated.
  void Begin() {
    Link();
    CreateStream("up", v1::UP);
    CreateStream("down", v1::DOWN);
    Pass(2);
    for (int records : {3, 2, 4}) {
      edge_.Append(Up(), records);
      core_.Append(Down(), records);
    }
    Settle();
    Pass(2);
    SELVAGE_CHECK(UpReplica().state().end == Offset(9) && DownReplica().state().end == Offset(9));
    whole_ = Bodies(Up());
  }
  static std::vector<std::string> Bodies(Log& log) {
    std::vector<std::string> bodies;
    for (const Entry& entry : AllEntries(log)) bodies.emplace_back(entry.body.view());
    return bodies;
  }

  std::vector<std::string> whole_;  // of the up stream
};

TEST_F(LinkRepairTest, AnEdgeFetchesWhatItSentBefore) {
  Begin();
  edge_.Damage(Up(), {3});
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,5)damaged [5,9)batch");
  EXPECT_TRUE(edge_.state->damage().RunOnce().ok());
  ASSERT_TRUE(edge_.OpenAlarm("entry_damaged"));
  EXPECT_EQ(edge_.OpenAlarm("entry_damaged")->subject(), "up/0");
  EXPECT_THAT(edge_.OpenAlarm("entry_damaged")->message(), HasSubstr("from offset 3 to 5"));
  Pass(3);
  EXPECT_EQ(Bodies(Up()), whole_);
  EXPECT_FALSE(edge_.OpenAlarm("entry_damaged"));
  EXPECT_FALSE(edge_.OpenAlarm("entry_quarantined"));
  EXPECT_EQ(edge_.state->damage().counts().found, 1u);
  EXPECT_EQ(edge_.state->damage().counts().fetched, 1u);
  EXPECT_EQ(edge_.state->damage().counts().quarantined, 0u);
  edge_.Append(Up(), 1);
  Settle();
  EXPECT_EQ(UpReplica().state().position(), Up().state().position()) << "the flow goes on";
}

TEST_F(LinkRepairTest, TheCoreFetchesFromTheEdge) {
  Begin();
  core_.Damage(UpReplica(), {0, 5});
  EXPECT_EQ(core_.ReadAll(UpReplica()), "[0,3)damaged [3,5)batch [5,9)damaged");
  Pass(4);
  EXPECT_EQ(Bodies(UpReplica()), whole_);
  EXPECT_FALSE(core_.OpenAlarm("entry_damaged"));
  EXPECT_EQ(core_.state->damage().counts().fetched, 2u);
}

TEST_F(LinkRepairTest, DownStreamsHealBothWays) {
  Begin();
  const std::vector<std::string> down = Bodies(Down());
  edge_.Damage(DownReplica(), {3});
  core_.Damage(Down(), {0});
  (void)edge_.ReadAll(DownReplica());
  (void)core_.ReadAll(Down());
  Pass(4);
  EXPECT_EQ(Bodies(Down()), down);
  EXPECT_EQ(Bodies(DownReplica()), down);
}

TEST_F(LinkRepairTest, ALargeRangeComesInPiecesWithinTheCredit) {
  window_ = 64 << 10;
  Link();
  CreateStream("up", v1::UP);
  Pass(2);
  for (int i = 0; i < 40; ++i) edge_.Append(Up(), 1, i == 20 ? 100'000 : 5'000);
  Pass(1);
  whole_ = Bodies(Up());
  for (int64_t i = 5; i < 35; ++i) core_.Damage(UpReplica(), {i});
  EXPECT_THAT(core_.ReadAll(UpReplica()), HasSubstr("[5,35)damaged"));
  Pass(40);
  EXPECT_EQ(Bodies(UpReplica()), whole_);
  EXPECT_GT(core_.state->damage().counts().fetched, 5u);
  EXPECT_EQ(core_.state->damage().counts().found, 1u);
}

TEST_F(LinkRepairTest, WhatWasNotSentBecomesAGapAtOnceAndReplicates) {
  Begin();
  Unlink();
  for (int records : {2, 1}) edge_.Append(Up(), records);
  edge_.Damage(Up(), {9});
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,5)batch [5,9)batch [9,11)damaged [11,12)batch");
  Pass(1);
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,5)batch [5,9)batch [9,11)gap:corrupt [11,12)batch");
  ASSERT_TRUE(edge_.OpenAlarm("entry_quarantined"));
  EXPECT_THAT(edge_.OpenAlarm("entry_quarantined")->message(), HasSubstr("from offset 9 to 11"));
  EXPECT_EQ(edge_.state->logs().Losses()->size(), 1u);
  EXPECT_EQ(edge_.state->damage().counts().quarantined, 1u);
  Link();
  Pass(2);
  EXPECT_EQ(core_.ReadAll(UpReplica()), "[0,3)batch [3,5)batch [5,9)batch [9,11)gap:corrupt [11,12)batch");
  EXPECT_EQ(UpReplica().state().position(), Up().state().position());
  EXPECT_EQ(core_.state->logs().Losses()->size(), 1u);
}

TEST_F(LinkRepairTest, AFlowThatMeetsDamageGoesOnBehindTheGap) {
  Begin();
  Unlink();
  for (int records : {2, 1}) edge_.Append(Up(), records);
  edge_.Damage(Up(), {9});
  Link();  // the sender is the first to read it
  Pass(10);
  EXPECT_EQ(core_.ReadAll(UpReplica()), "[0,3)batch [3,5)batch [5,9)batch [9,11)gap:corrupt [11,12)batch");
  EXPECT_FALSE(edge_.OpenAlarm("flow_held"));
}

TEST_F(LinkRepairTest, ARangeThatTheReplicaHasInPartIsFetchedInPart) {
  Begin();
  Unlink();
  for (int records : {2, 1}) edge_.Append(Up(), records);
  edge_.Damage(Up(), {3, 5, 9});
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,11)damaged [11,12)batch");
  Pass(2);
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,11)damaged [11,12)batch") << "part of it may be fetched";
  Link();
  Pass(12);
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,5)batch [5,9)batch [9,11)gap:corrupt [11,12)batch");
  EXPECT_EQ(core_.ReadAll(UpReplica()), edge_.ReadAll(Up()));
}

TEST_F(LinkRepairTest, WhatTheOtherEndHoldsNoMoreBecomesAGap) {
  Begin();
  ASSERT_TRUE(Up().Trim(Offset(5), std::nullopt, GapReason::kExpired).ok());
  core_.Damage(UpReplica(), {3});
  (void)core_.ReadAll(UpReplica());
  Pass(3);
  EXPECT_EQ(core_.ReadAll(UpReplica()), "[0,3)batch [3,5)gap:corrupt [5,9)batch");
  EXPECT_TRUE(core_.OpenAlarm("entry_quarantined"));
  EXPECT_FALSE(core_.OpenAlarm("entry_damaged"));
  EXPECT_EQ(core_.state->logs().Losses()->size(), 1u);
}

TEST_F(LinkRepairTest, WhatWaitsForTheDiskIsNotDoneByTheLink) {
  std::vector<std::function<void()>> errands;
  bool elsewhere = false;
  run_ = [&](std::function<void()> work) {
    if (!elsewhere) return work();
    errands.push_back(std::move(work));
  };
  const auto run_errands = [&] {
    for (const auto& work : std::exchange(errands, {})) work();
  };
  Begin();
  ASSERT_TRUE(Up().Trim(Offset(5), std::nullopt, GapReason::kExpired).ok());
  core_.Damage(UpReplica(), {3});
  (void)core_.ReadAll(UpReplica());
  elsewhere = true;
  Pass(3);
  EXPECT_EQ(Sent(kCore, v1::Frame::kFlowRequest), 1);
  EXPECT_EQ(Sent(kEdge, v1::Frame::kRequestRefuse), 0) << "the edge looks for it elsewhere";
  run_errands();
  Pass(1);
  EXPECT_EQ(Sent(kEdge, v1::Frame::kRequestRefuse), 1);
  EXPECT_EQ(core_.ReadAll(UpReplica()), "[0,3)batch [3,5)damaged [5,9)batch");
  run_errands();
  EXPECT_EQ(core_.ReadAll(UpReplica()), "[0,3)batch [3,5)gap:corrupt [5,9)batch");
}

TEST_F(LinkRepairTest, DamageAtBothEndsIsForTheSourceToDecide) {
  Begin();
  edge_.Damage(Up(), {3});
  core_.Damage(UpReplica(), {3});
  (void)core_.ReadAll(UpReplica());
  Pass(40);
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,5)gap:corrupt [5,9)batch");
  EXPECT_EQ(core_.ReadAll(UpReplica()), "[0,3)batch [3,5)gap:corrupt [5,9)batch");
  EXPECT_TRUE(edge_.OpenAlarm("entry_quarantined"));
  EXPECT_FALSE(core_.OpenAlarm("entry_damaged"));
}

TEST_F(LinkRepairTest, APeerThatCannotIsNotAsked) {
  old_core_ = true;
  Begin();
  edge_.Damage(Up(), {3});
  (void)edge_.ReadAll(Up());
  Pass(5);
  EXPECT_EQ(Sent(kEdge, v1::Frame::kFlowRequest), 0);
  EXPECT_TRUE(edge_.OpenAlarm("entry_damaged"));
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,5)damaged [5,9)batch");
}

TEST_F(LinkRepairTest, ACutLinkResumes) {
  Begin();
  edge_.Damage(Up(), {3});
  (void)edge_.ReadAll(Up());
  EXPECT_TRUE(edge_.state->damage().RunOnce().ok());
  for (int frames = 1; frames < 6; ++frames) {
    ends_[kEdge].handler->Tick(*ends_[kEdge].session);
    Settle(frames);
    Unlink();
    Link();
  }
  Pass(3);
  EXPECT_EQ(Bodies(Up()), whole_);
}

TEST_F(LinkRepairTest, OnlyWhatIsTheEdgesOwnIsGiven) {
  Begin();
  // A log of another edge, and a local one of the core.
  auto foreign = core_.state->logs().Create({.origin = {"shop", Slot(1), "up", PartitionId(0)},
                                             .id = IdOf(7),
                                             .base = Offset(0),
                                             .base_hash = ChainHash(0),
                                             .leader_epoch = LeaderEpoch(0)});
  ASSERT_TRUE(foreign.ok());
  core_.Append(**foreign, 3);
  CreateStream("inner", v1::LOCAL);
  EmbeddedLog& inner = core_.Find({"", Slot(0), "inner", PartitionId(0)});
  core_.Append(inner, 3);
  for (Log* log : {foreign->get(), static_cast<Log*>(&inner)}) {
    v1::RepairRequest request;
    request.set_name(log->origin().stream);
    request.set_log_id(log->state().id.bytes());
    request.set_to(3);
    Ask(77, request);
    Settle();
    const auto& sent = ends_[kCore].sent;
    auto refusal =
        std::find_if(sent.rbegin(), sent.rend(), [](const auto& f) { return f.has_request_refuse(); });
    ASSERT_TRUE(refusal != sent.rend());
    EXPECT_EQ(refusal->request_refuse().request(), 77u);
    EXPECT_EQ(refusal->request_refuse().problem().kind(), "range_not_held");
  }
  EXPECT_EQ(Sent(kCore, v1::Frame::kFlowOpen), 1) << "its own down stream";
}

TEST_F(LinkRepairTest, RequestsThatMakeNoSenseAreRefused) {
  Begin();
  v1::RepairRequest whole;
  whole.set_name("up");
  whole.set_log_id(Up().state().id.bytes());
  whole.set_from(3);
  whole.set_to(5);
  whole.set_hash_before(AllEntries(Up())[1].hash_before.value());
  std::vector<std::pair<std::string, std::function<void(v1::RepairRequest&)>>> cases = {
      {"range_not_held", [](auto& r) { r.set_to(3); }},
      {"range_not_held", [](auto& r) { r.set_from(-4); }},
      {"range_not_held", [](auto& r) { r.set_to(INT64_MAX); }},
      {"range_not_held", [](auto& r) { r.set_from(4); }},
      {"range_not_held", [](auto& r) { r.set_to(4); }},
      {"range_not_held", [](auto& r) { r.set_log_id("short"); }},
      {"range_not_held", [](auto& r) { r.set_partition(-1); }},
      {"chain_mismatch", [](auto& r) { r.set_hash_before(1); }},
      {"chain_mismatch", [](auto& r) { r.set_has_hash_after(true); }},
  };
  for (const auto& [kind, spoil] : cases) {
    v1::RepairRequest request = whole;
    spoil(request);
    Ask(1, request);
    Settle();
    EXPECT_EQ(ends_[kCore].sent.back().request_refuse().problem().kind(), kind) << request.ShortDebugString();
  }
}

TEST_F(LinkRepairTest, AnOfferThatNobodyAskedForIsRefused) {
  Begin();
  v1::RepairRequest request;  // behind the handler's back
  request.set_name("up");
  request.set_log_id(Up().state().id.bytes());
  request.set_from(0);
  request.set_to(3);
  Ask(9, request);
  Settle();
  EXPECT_EQ(Sent(kEdge, v1::Frame::kFlowRefuse), 1);
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,5)batch [5,9)batch");
  Pass(2);
  edge_.Damage(Up(), {3});
  (void)edge_.ReadAll(Up());
  Pass(3);
  EXPECT_EQ(Bodies(Up()), whole_) << "a later one is answered";
}

TEST_F(LinkRepairTest, ALocalStreamHasNoOtherCopy) {
  v1::StreamDefinition definition;
  definition.set_name("inner");
  definition.set_direction(v1::LOCAL);
  ASSERT_TRUE(edge_.edge->CreateStream(definition).ok());
  EmbeddedLog& log = edge_.Find({"", Slot(0), "inner", PartitionId(0)});
  for (int i = 0; i < 3; ++i) edge_.Append(log, 2);
  edge_.Damage(log, {2});
  (void)edge_.ReadAll(log);
  Pass(1);
  EXPECT_EQ(edge_.ReadAll(log), "[0,2)batch [2,4)gap:corrupt [4,6)batch");
  EXPECT_TRUE(edge_.OpenAlarm("entry_quarantined"));
}

TEST_F(LinkRepairTest, AnOperatorGivesUpWhatWaits) {
  Begin();
  Unlink();
  edge_.Damage(Up(), {3});
  (void)edge_.ReadAll(Up());
  Pass(1);
  auto alarm = edge_.OpenAlarm("entry_damaged");
  ASSERT_TRUE(alarm);
  ASSERT_TRUE(edge_.state->alarms().Resolve(alarm->id(), "").ok());
  EXPECT_EQ(edge_.ReadAll(Up()), "[0,3)batch [3,5)gap:corrupt [5,9)batch");
  Pass(1);
  EXPECT_FALSE(edge_.OpenAlarm("entry_damaged"));
  EXPECT_TRUE(edge_.OpenAlarm("entry_quarantined"));
}

TEST_F(LinkRepairTest, AfterARestartItIsFoundAgain) {
  Begin();
  Unlink();
  edge_.Damage(Up(), {3});
  (void)edge_.ReadAll(Up());
  Pass(1);
  ASSERT_TRUE(edge_.OpenAlarm("entry_damaged"));
  edge_.Restart();
  EXPECT_TRUE(Up().damages().empty());
  Pass(1);
  EXPECT_TRUE(edge_.OpenAlarm("entry_damaged"));
  EXPECT_EQ(Up().damages().size(), 1u);
  Link();
  Pass(3);
  EXPECT_EQ(Bodies(Up()), whole_);
  EXPECT_FALSE(edge_.OpenAlarm("entry_damaged"));
}

TEST_F(LinkRepairTest, AfterARestartAnAlarmWithoutDamageEnds) {
  Begin();
  Unlink();
  edge_.Damage(Up(), {3});
  (void)edge_.ReadAll(Up());
  Pass(1);
  ASSERT_TRUE(Up().Quarantine(Offset(3)).ok());  // as if the process ended right after it
  edge_.Restart();
  ASSERT_TRUE(edge_.OpenAlarm("entry_damaged"));
  Pass(1);
  EXPECT_FALSE(edge_.OpenAlarm("entry_damaged"));
}

}  // namespace
}  // namespace selvage
