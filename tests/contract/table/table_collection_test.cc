#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "fabric/base/canary.h"
#include "tests/contract/table/table_sites.h"

/// When tombstones go, and that no delete comes back once they are gone.
namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kWeek = absl::Hours(7 * 24);
constexpr auto kTwoMonths = absl::Hours(61 * 24);

class TombstoneTest : public ::testing::Test {
 protected:
  void Sync(Site& edge) { Session(edge, core_, ++epoch_).Drain(); }
  /// Some time later, with upkeep at each node now and then.
  void Pass(absl::Duration time, std::vector<Site*> sites = {}) {
    if (sites.empty()) sites = {&core_, &a_, &b_};
    constexpr int kSteps = 100;
    for (int i = 0; i < kSteps; ++i) {
      for (Site* site : {&core_, &a_, &b_}) site->clock().Advance(time / kSteps);
      for (Site* site : sites) {
        ASSERT_EQ(site->tables().RunDue(), absl::OkStatus());
        ASSERT_EQ(site->tables().CheckInvariants(), absl::OkStatus());
      }
    }
  }
#ifdef SELVAGE_CANARIES
  void TearDown() override { planted_canary = Canary::kNone; }
#endif
  void Late() {
    for (Site* site : {&core_, &a_, &b_}) site->clock().Advance(absl::Seconds(1));
  }
  std::vector<std::string> Conflicts(Site& site) {
    std::vector<std::string> texts;
    const auto conflicts = site.tables().Conflicts("t", 100);
    for (const auto& one : *conflicts) {
      texts.push_back(one.kind() + " " + one.key() + "." + one.field() + " " + one.losing_value());
    }
    return texts;
  }
  /// All hear of everything, the tombstones grow old enough, and all hear that the others have them.
  void Collect() {
    for (int i = 0; i < 3; ++i) {
      Sync(a_);
      Sync(b_);
    }
    Pass(kWeek + absl::Hours(24));
    for (int i = 0; i < 2; ++i) {
      Sync(a_);
      Sync(b_);
      Pass(absl::Hours(2));
    }
  }
  /// The core has what A deleted, waits for B in vain, and forgets it.
  void ForgetDeletesWhileBIsAway() {
    Sync(a_);
    Pass(kTwoMonths, {&core_, &a_});
    Sync(a_);
    Pass(absl::Hours(3), {&core_, &a_});
    ASSERT_EQ(core_.Counts().tombstones, 0u);
  }
  /// Both edges and the core have k, and A deleted it.
  void MakeTombstone() {
    ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
    Sync(a_);
    Sync(b_);
    Late();
    ASSERT_EQ(a_.Do(DeleteOf("k")), "");
  }

  test::SeededRandom random_{5};
  Site core_{1, false, random_};
  Site a_{2, true, random_};
  Site b_{3, true, random_};
  uint64_t epoch_ = 0;
};

TEST_F(TombstoneTest, ATombstoneGoesOnceEveryNodeHasItAndItsTimeIsOver) {
  MakeTombstone();
  for (int i = 0; i < 3; ++i) {
    Sync(a_);
    Sync(b_);
  }
  Pass(kWeek - absl::Hours(24));
  Sync(a_);
  Sync(b_);
  EXPECT_EQ(core_.Counts().tombstones, 1u) << "backups may be as old as that";
  Pass(absl::Hours(48));
  for (int i = 0; i < 2; ++i) {
    Sync(a_);
    Sync(b_);
    Pass(absl::Hours(2));
  }
  for (Site* site : {&core_, &a_, &b_}) {
    EXPECT_EQ(site->Counts().tombstones, 0u) << site->name();
    EXPECT_EQ(site->Counts().bytes, 0u) << site->name();
  }
}

TEST_F(TombstoneTest, ACollectedTombstoneLeavesPeersWhereTheyWere) {
  MakeTombstone();
  Collect();
  ASSERT_EQ(core_.Counts().tombstones, 0u);
  core_.Restart();
  a_.Restart();
  Session session(a_, core_, ++epoch_);
  session.Drain();
  EXPECT_FALSE(session.down()->needed_snapshot());
  EXPECT_FALSE(session.up().needed_snapshot());
}

TEST_F(TombstoneTest, AnEdgeKeepsWhatTheCoreHasNotHeardOf) {
  MakeTombstone();
  Pass(kTwoMonths);
  EXPECT_EQ(a_.Counts().tombstones, 1u);
  EXPECT_EQ(a_.tables().HoldOf("t")->node, "core");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), "");
}

TEST_F(TombstoneTest, TheCoreWaitsForWhoIsAwayAndNamesIt) {
  MakeTombstone();
  Sync(a_);
  Pass(kWeek * 2);
  Sync(a_);
  Pass(absl::Hours(3));
  Sync(a_);
  EXPECT_EQ(core_.Counts().tombstones, 1u);
  EXPECT_EQ(core_.tables().HoldOf("t")->node, "edge-3");
  Sync(b_);
  Sync(b_);
  Pass(absl::Hours(3));
  Sync(b_);
  Pass(absl::Hours(3));
  EXPECT_EQ(core_.Counts().tombstones, 0u);
  EXPECT_EQ(core_.tables().HoldOf("t")->node, "");
  EXPECT_EQ(b_.Json("k"), "");
}

TEST_F(TombstoneTest, WhoIsLetGoHoldsNothingAndIsSentTheTableAnew) {
  MakeTombstone();
  Sync(a_);
  Pass(kWeek * 2);
  Sync(a_);
  Pass(absl::Hours(3));
  Sync(a_);
  ASSERT_EQ(core_.Counts().tombstones, 1u);
  EXPECT_EQ(ErrorKind(core_.tables().ForgetReader("t", "edge-9")), "unknown_reader");
  ASSERT_EQ(core_.tables().ForgetReader("t", "edge-3"), absl::OkStatus());
  Pass(absl::Hours(3));
  EXPECT_EQ(core_.Counts().tombstones, 0u);
  core_.Restart();
  EXPECT_FALSE(core_.tables().Readers("t")->contains("edge-3"));
  Session session(b_, core_, ++epoch_);
  session.Drain();
  EXPECT_TRUE(session.down()->needed_snapshot());
  EXPECT_EQ(b_.Json("k"), "");
  EXPECT_EQ(core_.Json("k"), "");
}

TEST_F(TombstoneTest, WhoIsAwayForTooLongLosesOnlyWhatItWroteToRowsThatAreGone) {
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  ASSERT_EQ(a_.Do(PutOf("stays", R"({"x":1})")), "");
  Sync(a_);
  Sync(b_);
  Late();
  // B writes, and is away.
  ASSERT_EQ(b_.Do(SetOf("k", "x", "2")), "");
  ASSERT_EQ(b_.Do(SetOf("stays", "x", "2")), "");
  ASSERT_EQ(b_.Do(PutOf("new", R"({"x":2})")), "");
  Late();
  ASSERT_EQ(a_.Do(DeleteOf("k")), "");
  ForgetDeletesWhileBIsAway();
  Sync(b_);
  Sync(a_);
  for (Site* site : {&core_, &a_, &b_}) {
    EXPECT_EQ(site->Json("k"), "") << site->name();
    EXPECT_EQ(site->Json("stays"), R"({"x":2})") << site->name();
    EXPECT_EQ(site->Json("new"), R"({"x":2})") << site->name();
  }
  EXPECT_THAT(Conflicts(core_), ElementsAre("late k.x 2"));
}

/// A core that has forgotten deletes, and lost rows that are as old.
class LostRowsTest : public TombstoneTest {
 protected:
  /// B writes `new` and changes `gone`, which A deletes then, and is away until the delete is forgotten. The
  /// core has what B wrote for a while, and is set back.
  void Lose(const std::function<void(Site& core)>& set_back) {
    ASSERT_EQ(a_.Do(PutOf("gone", R"({"x":1})")), "");
    Sync(a_);
    Sync(b_);
    Late();
    ASSERT_EQ(b_.Do(SetOf("gone", "x", "2")), "");
    ASSERT_EQ(b_.Do(PutOf("new", R"({"x":2})")), "");
    Late();
    ASSERT_EQ(a_.Do(DeleteOf("gone")), "");
    ForgetDeletesWhileBIsAway();
    core_.Back();
    Sync(b_);
    ASSERT_EQ(core_.Text(), "new={\"x\":2}\n");
    set_back(core_);
    ASSERT_EQ(core_.Text(), "");
  }
  void ExpectNothingIsLost() {
    for (Site* site : {&b_, &a_, &b_}) Sync(*site);
    for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Text(), "new={\"x\":2}\n") << site->name();
  }
};

TEST_F(LostRowsTest, ComeBackToACoreThatWasRestored) {
  Lose([](Site& core) { core.Restore(); });
  ExpectNothingIsLost();
}

TEST_F(LostRowsTest, ComeBackToACoreWhoseDiskLostThem) {
  Lose([](Site& core) { core.SetBack(); });
  ExpectNothingIsLost();
}

TEST_F(LostRowsTest, ComeBackToACoreWhoseDiskLostThemWhileItReadThemFirst) {
  // B writes `first` and `new`, and links for the first time after another delete is forgotten.
  ASSERT_EQ(b_.Do(PutOf("first", R"({"x":1})")), "");
  ASSERT_EQ(b_.Do(PutOf("new", R"({"x":2})")), "");
  ASSERT_EQ(a_.Do(PutOf("gone", R"({"x":1})")), "");
  Late();
  ASSERT_EQ(a_.Do(DeleteOf("gone")), "");
  ForgetDeletesWhileBIsAway();
  {
    Flow up(b_, core_, "", false, Fence{"edge", SessionEpoch(++epoch_)}, 0);
    ASSERT_TRUE(up.Step(1));
    ASSERT_EQ(core_.Text(), "first={\"x\":1}\n");
    core_.Back();
    while (up.Step(1)) {
    }
  }
  ASSERT_EQ(core_.Text(), "first={\"x\":1}\nnew={\"x\":2}\n");
  core_.SetBack();
  for (Site* site : {&b_, &a_, &b_}) Sync(*site);
  for (Site* site : {&core_, &a_, &b_}) {
    EXPECT_EQ(site->Text(), "first={\"x\":1}\nnew={\"x\":2}\n") << site->name();
  }
}

TEST_F(LostRowsTest, ComeBackWhenTheLinkBreaksMeanwhile) {
  Lose([](Site& core) { core.Restore(); });
  for (int i = 0; i < 3; ++i) {
    Session session(b_, core_, ++epoch_);
    session.StepUp();
    b_.Restart();
    core_.Restart();
  }
  ExpectNothingIsLost();
}

#ifdef SELVAGE_CANARIES
TEST_F(LostRowsTest, AreSweptAtTheEdgeWhenTheirAbsenceCountsAsADelete) {
  Lose([](Site& core) { core.Restore(); });
  planted_canary = Canary::kAbsenceIsDelete;
  for (Site* site : {&b_, &a_, &b_}) Sync(*site);
  EXPECT_EQ(b_.Text(), "");
}
#endif

TEST_F(TombstoneTest, WhatWaitedForItsTimeDoesNotOutliveTheSnapshotWithoutIt) {
  b_.clock().JumpTo(b_.clock().Wall() - absl::Hours(1));
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Sync(a_);
  Sync(b_);
  ASSERT_EQ(b_.tables().Quarantined("t", 10)->size(), 1u);
  ASSERT_EQ(a_.Do(DeleteOf("k")), "");
  ForgetDeletesWhileBIsAway();
  Sync(b_);
  Pass(absl::Hours(3));
  for (Site* site : {&b_, &a_, &b_}) Sync(*site);
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Text(), "") << site->name();
}

/// B's clock is far behind: a delete waits there, and before it what it deletes.
class WaitingDeleteTest : public TombstoneTest {
 protected:
  /// The core forgets the delete, and B comes to the time of the put.
  void ComeToThePut() {
    b_.clock().JumpTo(b_.clock().Wall() - 2 * kTwoMonths);
    ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
    ASSERT_EQ(a_.Do(PutOf("kept", R"({"x":1})")), "");
    put_at_ = a_.clock().Wall();
    for (Site* site : {&a_, &b_}) Sync(*site);
    for (Site* site : {&core_, &a_, &b_}) site->clock().Advance(absl::Hours(1));
    ASSERT_EQ(a_.Do(DeleteOf("k")), "");
    ASSERT_EQ(a_.Do(PutOf("kept", R"({"x":2})")), "");
    for (Site* site : {&a_, &b_}) Sync(*site);
    ASSERT_EQ(b_.tables().Quarantined("t", 10)->size(), 4u);
    ForgetDeletesWhileBIsAway();
    b_.clock().JumpTo(put_at_);
    ASSERT_EQ(b_.tables().RunDue(), absl::OkStatus());
    EXPECT_EQ(b_.tables().Quarantined("t", 10)->size(), 2u);
  }
  absl::Time put_at_;
};

TEST_F(WaitingDeleteTest, TakesWhatItDeletesBeforeThatIsToldToWhoForgotTheDelete) {
  ComeToThePut();
  EXPECT_EQ(b_.Text(), "kept={\"x\":1}\n") << "a put that waits hides nothing";
  for (int i = 0; i < 2; ++i) {
    for (Site* site : {&b_, &a_}) Sync(*site);
    for (Site* site : {&core_, &a_}) EXPECT_EQ(site->Text(), "kept={\"x\":2}\n") << site->name();
    b_.clock().JumpTo(put_at_ + absl::Hours(2));
    ASSERT_EQ(b_.tables().RunDue(), absl::OkStatus());
  }
  EXPECT_EQ(b_.Text(), "kept={\"x\":2}\n");
}

#ifdef SELVAGE_CANARIES
TEST_F(WaitingDeleteTest, BringsTheRowBackWhenItTakesNothing) {
  planted_canary = Canary::kReleaseDeleted;
  ComeToThePut();
  for (Site* site : {&b_, &a_}) Sync(*site);
  EXPECT_EQ(core_.Json("k"), R"({"x":1})");
}
#endif

TEST_F(TombstoneTest, AnEdgeThatWasRestoredBringsNoDeletedRowBack) {
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  ASSERT_EQ(b_.Do(PutOf("own", R"({"x":1})")), "");
  for (Site* site : {&a_, &b_, &a_, &b_}) Sync(*site);
  Pass(absl::Hours(1));
  b_.Back();
  Late();
  ASSERT_EQ(a_.Do(DeleteOf("k")), "");
  ASSERT_EQ(a_.Do(DeleteOf("own")), "");
  Collect();
  ASSERT_EQ(core_.Counts().tombstones, 0u);
  b_.Restore();
  for (int i = 0; i < 3; ++i) {
    Session session(b_, core_, ++epoch_);
    session.StepUp();
  }
  Sync(b_);
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Text(), "") << site->name();
}

TEST_F(TombstoneTest, APutOverARowThatWasSharedIsLateAsWell) {
  // One that B had from A, and one that B wrote itself.
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  ASSERT_EQ(b_.Do(PutOf("own", R"({"x":1})")), "");
  for (Site* site : {&a_, &b_, &a_}) Sync(*site);
  Late();
  ASSERT_EQ(b_.Do(PutOf("k", R"({"x":2})")), "");
  ASSERT_EQ(b_.Do(PutOf("own", R"({"x":2})", b_.now_ms() + absl::ToInt64Milliseconds(3 * kTwoMonths))), "");
  ASSERT_EQ(b_.Do(PutOf("new", R"({"x":1})")), "");
  ASSERT_EQ(b_.Do(PutOf("new", R"({"x":2})")), "");
  Late();
  ASSERT_EQ(a_.Do(DeleteOf("k")), "");
  ASSERT_EQ(a_.Do(DeleteOf("own")), "");
  ForgetDeletesWhileBIsAway();
  b_.Restart();
  Sync(b_);
  Sync(a_);
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Text(), "new={\"x\":2}\n") << site->name();
  EXPECT_THAT(Conflicts(core_), ElementsAre("late own.x 2", "late k.x 2"));
}

TEST_F(TombstoneTest, ATombstoneWithATimeToComeStays) {
  ASSERT_EQ(
      a_.Do({"k", Update{.set = {{"x", samples::Json("1")}},
                         .expiry = Update::NewExpiry{a_.now_ms() + absl::ToInt64Milliseconds(kTwoMonths)}}}),
      "");
  ASSERT_EQ(a_.Do({"k", Update{.unset = {"x"}}}), "");
  for (int i = 0; i < 3; ++i) {
    Sync(a_);
    Sync(b_);
    Pass(kWeek);
  }
  EXPECT_EQ(core_.Counts().tombstones, 1u);
}

TEST_F(TombstoneTest, WhatTheOnlyWriterSendsUpIsNeverLate) {
  Site core(1, false, random_, v1::TABLE_UP);
  Site a(2, true, random_, v1::TABLE_UP);
  Site b(3, true, random_, v1::TABLE_UP);
  for (Site* site : {&core, &a, &b}) {
    v1::TableDefinition definition = *site->tables().Find("t");
    definition.mutable_settings()->set_prefix("${edge}/");
    ASSERT_EQ(site->tables().Set(definition), absl::OkStatus());
  }
  const auto up = [&](Site& edge) {
    Flow(edge, core, "", false, Fence{edge.name(), SessionEpoch(++epoch_)}, 0).Drain();
  };
  const auto days = [&](int count) {
    for (int i = 0; i < 24 * count; ++i) {
      for (Site* site : {&core, &a, &b}) site->clock().Advance(absl::Hours(1));
      ASSERT_EQ(core.tables().RunDue(), absl::OkStatus());
      if (i % 24 == 0) up(b);
    }
  };
  ASSERT_EQ(a.Do(PutOf("a/r", "{}")), "");
  ASSERT_EQ(a.Do(DeleteOf("a/r")), "");
  ASSERT_EQ(b.Do(PutOf("b/r", "{}")), "");
  up(a);
  days(2);
  ASSERT_EQ(a.Do(SetOf("a/r", "x", "1")), "") << "without a link";
  days(1);
  ASSERT_EQ(b.Do(DeleteOf("b/r")), "");
  days(9);
  ASSERT_EQ(core.Counts().tombstones, 0u);
  up(a);
  EXPECT_EQ(core.Json("a/r"), R"({"x":1})");
}

#ifdef SELVAGE_CANARIES
TEST_F(TombstoneTest, LateWritesThatAreTakenBringARowBack) {
  planted_canary = Canary::kTakeLateWrites;
  MakeTombstone();
  ASSERT_EQ(b_.Do(SetOf("k", "x", "2")), "");
  Late();
  ASSERT_EQ(a_.Do(DeleteOf("k")), "");
  Sync(a_);
  Pass(kTwoMonths, {&core_, &a_});
  Sync(a_);
  Pass(absl::Hours(3), {&core_, &a_});
  Sync(b_);
  EXPECT_EQ(core_.Json("k"), R"({"x":2})");
}
#endif

TEST_F(TombstoneTest, WhatIsWrittenAfterTheDeleteIsNotLate) {
  MakeTombstone();
  ForgetDeletesWhileBIsAway();
  // B still has the row.
  ASSERT_EQ(b_.Do(SetOf("k", "y", "3")), "");
  Sync(b_);
  Sync(b_);
  for (Site* site : {&core_, &b_}) EXPECT_EQ(site->Json("k"), R"({"y":3})") << site->name();
  EXPECT_THAT(Conflicts(core_), IsEmpty());
}

TEST_F(TombstoneTest, MarksOfExpiredRowsGoAsWell) {
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})", a_.now_ms() + 1000)), "");
  Sync(a_);
  Sync(b_);
  Pass(absl::Hours(48));
  EXPECT_EQ(core_.Counts().rows, 0u);
  EXPECT_EQ(core_.Counts().tombstones, 1u);
  Pass(kWeek + absl::Hours(24));
  for (int i = 0; i < 3; ++i) {
    Sync(a_);
    Sync(b_);
    Pass(absl::Hours(2));
  }
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Counts().tombstones, 0u) << site->name();
}

TEST_F(TombstoneTest, AReplacedEdgeHoldsNothingUnderItsFormerStore) {
  MakeTombstone();
  Sync(a_);
  Site replaced(4, true, random_);
  core_.tables().NoteReader("t", "edge-3", replaced.store_id(), 1);
  Pass(absl::Hours(1), {&core_});
  core_.Restart();
  EXPECT_EQ(core_.tables().Readers("t")->at("edge-3").store, replaced.store_id());
  EXPECT_TRUE(core_.tables().Cursors("t")->contains(b_.store_id())) << "should it come back, it goes on";
}

TEST_F(TombstoneTest, WatchersOfOldPositionsAreToldToBeginAnew) {
  MakeTombstone();
  FeedPosition from = core_.tables().Facts("t")->end;
  Collect();
  ASSERT_EQ(core_.Counts().tombstones, 0u);
  EXPECT_THAT(core_.node().Changes(from), ElementsAre("position_expired"));
}

TEST_F(TombstoneTest, WhoReadsFromTheBeginningMayTakeItsTime) {
  for (int i = 0; i < 5; ++i) ASSERT_EQ(core_.Do(PutOf("r" + std::to_string(i), "{}")), "");
  MakeTombstone();
  Collect();
  ASSERT_EQ(core_.Counts().tombstones, 0u);
  FeedPosition from;
  EXPECT_THAT(core_.node().Changes(from, "", 2), ElementsAre("r0={}", "r1={}"));
  from = FeedPosition::Parse(from.Text()).value();
  EXPECT_THAT(core_.node().Changes(from, "", 2), ElementsAre("r2={}", "r3={}"));
  EXPECT_THAT(core_.node().Changes(from), ElementsAre("r4={}"));
  EXPECT_EQ(from.began_at, 0u);
}

TEST_F(TombstoneTest, EdgesThatWriteOneRowUpKeepItsTombstoneToTheEnd) {
  Site core(1, false, random_, v1::TABLE_UP);
  Site a(2, true, random_, v1::TABLE_UP);
  ASSERT_EQ(a.Do(PutOf("k", R"({"x":1})")), "");
  ASSERT_EQ(a.Do(DeleteOf("k")), "");
  for (int i = 0; i < 100; ++i) {
    for (Site* site : {&core, &a}) site->clock().Advance(kWeek * 2 / 100);
    Flow(a, core, "", false, Fence{"edge", SessionEpoch(++epoch_)}, 0).Drain();
    for (Site* site : {&core, &a}) ASSERT_EQ(site->tables().RunDue(), absl::OkStatus());
  }
  EXPECT_EQ(a.Counts().tombstones, 0u) << "the core has it";
  EXPECT_EQ(core.Counts().tombstones, 1u) << "another edge may send what it wrote before";
}

}  // namespace
}  // namespace selvage::table
