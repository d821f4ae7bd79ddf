#include "fabric/table/table_flow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/contract/table/table_sites.h"

namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TableFlows : public ::testing::Test {
 protected:
  Session Link(Site& edge, std::string prefix = "") {
    return Session(edge, core_, ++epoch_, std::move(prefix));
  }
  void Sync(Site& edge, std::string prefix = "") { Link(edge, std::move(prefix)).Drain(); }

  test::SeededRandom random_{5};
  Site core_{1, false, random_};
  Site a_{2, true, random_};
  Site b_{3, true, random_};
  uint64_t epoch_ = 0;
};

TEST_F(TableFlows, RowsGoFromEdgeToEdgeThroughTheCore) {
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), R"({"x":1})");
  Sync(b_);
  EXPECT_EQ(b_.Json("k"), R"({"x":1})");
  ASSERT_EQ(b_.Do(SetOf("k", "y", "2")), "");
  ASSERT_EQ(a_.Do(SetOf("k", "x", "3")), "");
  Sync(b_);
  Sync(a_);
  Sync(b_);
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Json("k"), R"({"x":3,"y":2})");
}

TEST_F(TableFlows, NothingIsSentBackToWhereItCameFrom) {
  Sync(a_);
  Sync(b_);
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Session session = Link(a_);
  session.Drain();
  EXPECT_GT(session.up().bytes(), 0u);
  EXPECT_EQ(session.down()->bytes(), 0u);
  Session other = Link(b_);
  other.Drain();
  EXPECT_EQ(other.up().bytes(), 0u);
  EXPECT_GT(other.down()->bytes(), 0u);
}

TEST_F(TableFlows, ARowThatChangesAThousandTimesIsSentOnce) {
  Sync(a_);
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":0})")), "");
  Session once = Link(a_);
  once.Drain();
  for (int i = 1; i <= 1000; ++i) {
    ASSERT_EQ(a_.tables().WriteAndWait("t", {SetOf("k", "x", std::to_string(i))}).status(), absl::OkStatus());
  }
  Session session = Link(a_);
  session.Drain();
  EXPECT_EQ(core_.Json("k"), R"({"x":1000})");
  EXPECT_LT(session.up().bytes(), 2 * once.up().bytes());
}

TEST_F(TableFlows, ADeleteIsNotUndoneByWhatWasWrittenBefore) {
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Sync(a_);
  Sync(b_);
  ASSERT_EQ(b_.Do(SetOf("k", "x", "2")), "");
  b_.clock().Advance(absl::Seconds(1));
  a_.clock().Advance(absl::Seconds(2));
  ASSERT_EQ(a_.Do(DeleteOf("k")), "");
  Sync(a_);
  Sync(b_);
  Sync(a_);
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Json("k"), "");
  EXPECT_THAT(*core_.tables().Conflicts("t", 10), SizeIs(1)) << "the 2 was lost";
}

TEST_F(TableFlows, CountersAddUp) {
  ASSERT_EQ(core_.Do(PutOf("k", R"({"n":0})")), "");
  Sync(a_);
  Sync(b_);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(a_.Do(IncrementOf("k", "n", 1)), "");
    ASSERT_EQ(b_.Do(IncrementOf("k", "n", 10)), "");
    ASSERT_EQ(core_.Do(IncrementOf("k", "n", 100)), "");
    if (i == 3) Sync(a_);
    if (i == 5) Sync(b_);
    if (i == 7) a_.Restart();
  }
  Sync(a_);
  Sync(b_);
  Sync(a_);
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Json("k"), R"({"n":1110})");
}

TEST_F(TableFlows, WhatOthersReadIsNeitherReadNorSent) {
  Session a = Link(a_, "site/a/");
  a.Drain();
  Session b = Link(b_, "site/b/");
  b.Drain();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(core_.Do(PutOf("site/a/" + std::to_string(i), R"({"x":1})")), "");
    EXPECT_FALSE(b.StepDown());
    EXPECT_TRUE(a.StepDown());
  }
  EXPECT_EQ(a.down()->wakes(), 100);
  EXPECT_EQ(b.down()->wakes(), 0);
  EXPECT_EQ(a_.Digests().size(), 100u);
  ASSERT_EQ(core_.Do(PutOf("site/b/1", R"({"x":2})")), "");
  EXPECT_EQ(b.down()->wakes(), 1);
  EXPECT_FALSE(a.StepDown());
  b.Drain();
  EXPECT_EQ(b_.Text(), "site/b/1={\"x\":2}\n");
}

TEST_F(TableFlows, WhoeverReadsAllIsToldOfAll) {
  Session a = Link(a_);
  a.Drain();
  ASSERT_EQ(core_.Do(PutOf("site/a/1", "{}")), "");
  ASSERT_EQ(core_.Do(PutOf("x", "{}")), "");
  EXPECT_EQ(a.down()->wakes(), 2);
  a.Drain();
  EXPECT_EQ(a_.Digests(), core_.Digests());
}

TEST_F(TableFlows, AReaderFindsItsChangesAmongThoseOfOthers) {
  Session a = Link(a_, "site/a/");
  a.Drain();
  for (int i = 0; i < 30; ++i) {
    ASSERT_EQ(core_.Do(PutOf("site/a/" + std::to_string(i % 20), R"({"x":)" + std::to_string(i) + "}")), "");
    for (int other = 0; other < 20; ++other) {
      ASSERT_EQ(
          core_.tables().WriteAndWait("t", {SetOf("site/b/" + std::to_string(other), "x", "1")}).status(),
          absl::OkStatus());
    }
    if (i == 10) a.StepDown();
    if (i == 25) {
      ASSERT_EQ(core_.Do(DeleteOf("site/a/3")), "");
    }
  }
  a.Drain();
  EXPECT_EQ(a_.Digests().size(), 19u);
  for (const auto& [key, version] : a_.Digests()) EXPECT_EQ(core_.Digests()[key], version) << key;
}

TEST_F(TableFlows, AReaderLearnsOfItsChangesThatCameWhileThereWasNoLink) {
  Sync(a_, "site/a/");
  ASSERT_EQ(core_.Do(PutOf("site/a/1", "{}")), "");
  ASSERT_EQ(core_.Do(PutOf("site/b/1", "{}")), "");
  Sync(a_, "site/a/");
  EXPECT_EQ(a_.Text(), "site/a/1={}\n");
  ASSERT_EQ(core_.Do(PutOf("site/a/2", "{}")), "");
  core_.Restart();
  ASSERT_EQ(core_.Do(PutOf("site/a/3", "{}")), "");
  Session session = Link(a_, "site/a/");
  session.Drain();
  EXPECT_EQ(a_.Text(), "site/a/1={}\nsite/a/2={}\nsite/a/3={}\n");
  ASSERT_EQ(core_.Do(PutOf("site/a/4", "{}")), "");
  EXPECT_EQ(session.down()->wakes(), 1);
  session.Drain();
  EXPECT_EQ(a_.Json("site/a/4"), "{}");
  // Another subscription.
  Sync(a_, "site/b/");
  EXPECT_EQ(a_.Text(), "site/b/1={}\n");
}

TEST_F(TableFlows, AReaderWhoseRowsDoNotChangeIsNotLeftFarBehind) {
  Session a = Link(a_, "site/a/");
  a.Drain();
  const uint64_t at = *a.down()->source().acknowledged();
  const size_t bytes = a.down()->bytes();
  std::vector<RowOperation> others;
  for (int i = 0; i < 1000; ++i) others.push_back(PutOf("site/b/" + std::to_string(i), "{}"));
  for (int i = 0; i < 10; ++i) ASSERT_EQ(core_.tables().WriteAndWait("t", others).status(), absl::OkStatus());
  EXPECT_FALSE(a.StepDown());
  EXPECT_EQ(a.down()->source().acknowledged(), at);
  ASSERT_EQ(core_.Do(PutOf("site/b/1", "{}")), "");
  EXPECT_TRUE(a.StepDown());
  EXPECT_EQ(a.down()->source().acknowledged(), at + 10'001);
  ASSERT_EQ(core_.Do(PutOf("site/b/1", "{}")), "");
  EXPECT_FALSE(a.StepDown());
  a.down()->source().CatchUp();
  EXPECT_TRUE(a.StepDown());
  EXPECT_EQ(a.down()->source().acknowledged(), at + 10'002);
  EXPECT_EQ(a.down()->bytes(), bytes);
}

TEST_F(TableFlows, ASnapshotGoesOnWhereItWasCut) {
  for (int i = 0; i < 50; ++i) ASSERT_EQ(core_.Do(PutOf("k" + std::to_string(100 + i), R"({"x":1})")), "");
  int sessions = 0;
  while (a_.Digests().size() < 50) {
    ASSERT_LT(++sessions, 100);
    Session session = Link(a_);
    while (session.StepUp()) {
    }
    session.StepDown();
    session.StepDown();
    if (sessions % 7 == 0) core_.Restart();
    if (sessions % 5 != 0) continue;
    ASSERT_EQ(core_.Do(SetOf("k100", "x", std::to_string(sessions))), "");
  }
  EXPECT_GE(sessions, 3);
  Sync(a_);
  EXPECT_EQ(a_.Digests(), core_.Digests());
}

TEST_F(TableFlows, ASnapshotRemovesWhatTheCoreDoesNotHaveButNotWhatIsUnsent) {
  ASSERT_EQ(core_.Do(PutOf("in/1", "{}")), "");
  ASSERT_EQ(core_.Do(PutOf("out/1", "{}")), "");
  Sync(a_);
  EXPECT_THAT(a_.Digests(), SizeIs(2));
  // The subscription changes; meanwhile the edge writes.
  Session session = Link(a_, "in/");
  while (session.StepUp()) {
  }
  session.StepDown();
  ASSERT_EQ(a_.Do(PutOf("out/2", R"({"unsent":true})")), "");
  session.Drain();
  EXPECT_EQ(a_.Json("out/1"), "");
  EXPECT_EQ(a_.Counts().tombstones, 0u);
  EXPECT_EQ(a_.Json("in/1"), "{}");
  EXPECT_EQ(core_.Json("out/1"), "{}") << "the core never sweeps";
  EXPECT_EQ(core_.Json("out/2"), R"({"unsent":true})");
}

TEST_F(TableFlows, WhatIsWrittenWhileASnapshotRunsIsNotSwept) {
  for (int i = 0; i < 30; ++i) ASSERT_EQ(core_.Do(PutOf("k" + std::to_string(100 + i), R"({"x":1})")), "");
  Session session = Link(a_);
  while (session.StepUp()) {
  }
  session.StepDown();
  session.StepDown();
  // It reaches the core after the core looked at this interval, and before the edge applies the next one.
  ASSERT_EQ(a_.Do(PutOf("k1291", "{}")), "");
  ASSERT_EQ(a_.Do(PutOf("k0", "{}")), "");
  while (session.StepUp()) {
  }
  session.Drain();
  EXPECT_EQ(a_.Json("k1291"), "{}");
  EXPECT_EQ(a_.Digests(), core_.Digests());
}

TEST_F(TableFlows, ARestoredEdgeGetsItsRowsBackAndSendsWhatIsNew) {
  ASSERT_EQ(a_.Do(PutOf("old", "{}")), "");
  Sync(a_);
  a_.Back();
  ASSERT_EQ(a_.Do(PutOf("lost", R"({"x":1})")), "");
  Sync(a_);
  a_.Restore();
  ASSERT_EQ(a_.Do(PutOf("new", "{}")), "");
  EXPECT_EQ(a_.Json("lost"), "");
  Sync(a_);
  EXPECT_EQ(a_.Json("lost"), R"({"x":1})");
  EXPECT_EQ(core_.Json("new"), "{}") << "sequences were given twice, and epochs tell them apart";
  EXPECT_EQ(a_.Digests(), core_.Digests());
}

TEST_F(TableFlows, ARestoredEdgeThatWritesNothingIsSentItsRowsOnce) {
  ASSERT_EQ(a_.Do(PutOf("k", "{}")), "");
  Sync(a_);
  a_.Back();
  ASSERT_EQ(a_.Do(PutOf("l", "{}")), "");
  Sync(a_);
  a_.Restore();
  Session session = Link(a_);
  session.Drain();
  EXPECT_TRUE(session.down()->needed_snapshot());
  Session later = Link(a_);
  later.Drain();
  EXPECT_FALSE(later.down()->needed_snapshot());
}

TEST_F(TableFlows, ARestoredCoreGetsBackWhatItHadFromItsEdges) {
  Sync(a_);
  core_.Back();
  ASSERT_EQ(core_.Do(PutOf("of-the-core", "{}")), "");
  ASSERT_EQ(b_.Do(PutOf("of-b", "{}")), "");
  Sync(b_);
  Sync(a_);
  core_.Restore();
  ASSERT_EQ(core_.Do(PutOf("newer", "{}")), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("of-the-core"), "{}");
  EXPECT_EQ(core_.Json("of-b"), "{}");
  EXPECT_EQ(a_.Json("newer"), "{}");
  Sync(b_);
  EXPECT_EQ(a_.Digests(), core_.Digests());
  EXPECT_EQ(b_.Digests(), core_.Digests());
}

TEST_F(TableFlows, AnEntryWithoutRowsWaitsInTheCommittersQueueAsOthersDo) {
  Sync(a_);
  Session session = Link(a_);
  ASSERT_EQ(core_.Do(PutOf("k", "{}")), "");
  while (session.StepDown()) {
  }
  ASSERT_FALSE(session.up().CaughtUp());
  session.up().StepInVain();
  EXPECT_GT(core_.node().committer().QueuedBytes(), 0u);
}

TEST_F(TableFlows, AStoreThatStartsAgainIsNotTakenForOneThatWasSetBack) {
  ASSERT_EQ(core_.Do(PutOf("a", "{}")), "");
  Sync(a_);
  ASSERT_EQ(core_.Do(PutOf("b", "{}")), "");
  Sync(a_);
  // The newest record of its feed goes with the row, once the core has read up to there.
  Sync(a_, "a");
  ASSERT_EQ(a_.Json("b"), "");
  Sync(a_, "a");
  a_.Restart();
  Session session = Link(a_, "a");
  session.Drain();
  EXPECT_FALSE(session.down()->needed_snapshot());
}

/// Tables that only edges write.
class UpTableFlows : public ::testing::Test {
 protected:
  using Stores = std::set<StoreId>;

  Session Up(Site& edge) { return Session(edge, core_, ++epoch_); }
  /// What the core gives back of what the edge's stores wrote.
  Flow Back(Site& edge, Session& session, const Stores& lost, std::string prefix = "") {
    return Flow(core_, edge, std::move(prefix), true, Fence{"@core", SessionEpoch(epoch_)}, 0,
                session.up().life(), lost);
  }
  void SendUp(Site& edge) { Up(edge).up().Drain(); }

  test::SeededRandom random_{5};
  Site core_{1, false, random_, v1::TABLE_UP};
  Site lost_{2, true, random_, v1::TABLE_UP};
  Site other_{3, true, random_, v1::TABLE_UP};
  /// Takes the place of `lost_`.
  Site edge_{4, true, random_, v1::TABLE_UP};
  uint64_t epoch_ = 0;
};

TEST_F(UpTableFlows, AnEmptyEdgeThatReplacesAnotherGetsItsRowsBack) {
  ASSERT_EQ(lost_.Do(PutOf("a", R"({"x":1})")), "");
  ASSERT_EQ(lost_.Do(PutOf("b", R"({"x":1})")), "");
  ASSERT_EQ(lost_.Do(PutOf("gone", "{}")), "");
  ASSERT_EQ(lost_.Do(DeleteOf("gone")), "");
  ASSERT_EQ(other_.Do(PutOf("c", R"({"x":1})")), "");
  ASSERT_EQ(other_.Do(SetOf("b", "y", "2")), "");
  SendUp(lost_);
  SendUp(other_);

  edge_.clock().Advance(absl::Seconds(1));
  ASSERT_EQ(edge_.Do(SetOf("b", "x", "5")), "") << "a sensor goes on before the link is there";
  ASSERT_EQ(edge_.Do(PutOf("new", "{}")), "");
  Session session = Up(edge_);
  Flow back = Back(edge_, session, {lost_.store_id(), edge_.store_id()});
  while (back.Step()) {
  }
  ASSERT_EQ(edge_.Do(PutOf("later", "{}")), "");
  session.up().Drain();
  EXPECT_EQ(edge_.Text(), R"(a={"x":1}
b={"x":5}
later={}
new={}
)") << "its own, and nothing of others";
  EXPECT_EQ(core_.Text(), R"(a={"x":1}
b={"x":5,"y":2}
c={"x":1}
later={}
new={}
)");
  EXPECT_EQ(edge_.Counts().tombstones, 1u);
}

TEST_F(UpTableFlows, WhatCameBackIsNotSentUpAgainAndNothingFollowsIt) {
  ASSERT_EQ(lost_.Do(PutOf("a", R"({"x":1})")), "");
  SendUp(lost_);
  Session session = Up(edge_);
  Flow back = Back(edge_, session, {lost_.store_id(), edge_.store_id()});
  back.Drain();
  session.up().Drain();
  EXPECT_EQ(session.up().bytes(), 0u);
  ASSERT_EQ(edge_.Do(PutOf("d", "{}")), "");
  session.up().Drain();
  EXPECT_FALSE(back.Step()) << "it has ended";
  ASSERT_EQ(other_.Do(PutOf("c", "{}")), "");
  SendUp(other_);
  Session next = Up(edge_);
  Flow again = Back(edge_, next, {lost_.store_id(), edge_.store_id()});
  EXPECT_FALSE(again.Step());
  EXPECT_EQ(core_.Json("d"), "{}");
}

TEST_F(UpTableFlows, WhatIsBroughtBackGoesOnWhereItWasCut) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(lost_.Do(PutOf("k" + std::to_string(100 + i), R"({"x":1})")), "");
    ASSERT_EQ(other_.Do(PutOf("o" + std::to_string(100 + i), R"({"x":1})")), "");
  }
  SendUp(lost_);
  SendUp(other_);
  int links = 0;
  while (edge_.Digests().size() < 50) {
    ASSERT_LT(++links, 100);
    Session session = Up(edge_);
    session.up().Drain();
    Flow back = Back(edge_, session, {lost_.store_id()});
    back.Step();
    back.Step();
    if (links % 3 == 0) edge_.Restart();
    if (links % 4 == 0) core_.Restart();
  }
  EXPECT_GT(links, 3);
  EXPECT_EQ(edge_.Text(), lost_.Text());
}

TEST_F(UpTableFlows, OnlyRowsThatTheEdgeMayStillWriteComeBack) {
  ASSERT_EQ(lost_.Do(PutOf("mine/a", "{}")), "");
  ASSERT_EQ(lost_.Do(PutOf("elsewhere", "{}")), "");
  SendUp(lost_);
  Session session = Up(edge_);
  session.up().Drain();
  Back(edge_, session, {lost_.store_id()}, "mine/").Drain();
  EXPECT_EQ(edge_.Text(), "mine/a={}\n");
}

TEST_F(UpTableFlows, ARestoredEdgeGetsBackWhatItHadSentSince) {
  ASSERT_EQ(lost_.Do(PutOf("a", R"({"n":1})")), "");
  SendUp(lost_);
  lost_.Back();
  ASSERT_EQ(lost_.Do(IncrementOf("a", "n", 10)), "");
  ASSERT_EQ(lost_.Do(PutOf("b", "{}")), "");
  Session before = Up(lost_);
  before.up().Drain();
  EXPECT_FALSE(before.up().was_set_back());
  lost_.Restore();
  ASSERT_EQ(lost_.Do(IncrementOf("a", "n", 100)), "");
  for (int links = 0; links < 3; ++links) {
    Session session = Up(lost_);
    EXPECT_TRUE(session.up().was_set_back()) << "also on later links: it may not have got everything yet";
    Flow back = Back(lost_, session, {lost_.store_id()});
    back.Step();
    session.up().Drain();
  }
  for (Site* site : {&core_, &lost_}) EXPECT_EQ(site->Text(), "a={\"n\":111}\nb={}\n");
}

TEST_F(TableFlows, AStampFromTheFutureWaitsForItsTime) {
  Sync(a_);
  a_.clock().Advance(absl::Hours(1));
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), "");
  EXPECT_THAT(*core_.tables().Quarantined("t", 10), SizeIs(1));
  ASSERT_EQ(core_.Do(PutOf("other", "{}")), "");
  Sync(b_);
  EXPECT_EQ(b_.Json("k"), "") << "it is in no feed";
  core_.Restart();
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), "");
  core_.clock().Advance(absl::Minutes(56));
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), R"({"x":1})");
  EXPECT_THAT(*core_.tables().Quarantined("t", 10), IsEmpty());
  EXPECT_EQ(core_.tables().CheckInvariants(), absl::OkStatus());
}

/// An edge whose clock was an hour ahead, and is right again.
class TableFlowsAhead : public TableFlows {
 protected:
  void SetUp() override {
    ASSERT_EQ(a_.Do(PutOf("before", R"({"n":1,"x":0})")), "");
    Sync(a_);
    Sync(b_);
    a_.clock().Advance(absl::Hours(1));
    ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
    ASSERT_EQ(a_.Do(SetOf("k", "y", "1")), "");
    ASSERT_EQ(a_.Do(SetOf("before", "x", "1")), "");
    ASSERT_EQ(a_.Do(IncrementOf("before", "n", 2)), "");
    ASSERT_EQ(a_.Do(PutOf("gone", "{}")), "");
    Sync(a_);
    ASSERT_EQ(a_.Do(DeleteOf("gone")), "");
    Sync(a_);
    EXPECT_EQ(core_.Text(), "before={\"n\":1,\"x\":0}\n");
    ASSERT_THAT(*core_.tables().Quarantined("t", 10), SizeIs(::testing::Ge(4)));
    a_.clock().JumpTo(core_.clock().Wall());
  }
  uint64_t Restamp(Site& site) {
    const auto done = site.tables().RestampAhead();
    EXPECT_EQ(done.status(), absl::OkStatus());
    EXPECT_EQ(site.tables().CheckInvariants(), absl::OkStatus());
    return done.ok() ? done->rows : 0;
  }
  size_t Waiting() { return core_.tables().Quarantined("t", 100)->size(); }
};

TEST_F(TableFlowsAhead, ItsOriginStampsItAgainAndNothingWaitsAnyMore) {
  EXPECT_EQ(Restamp(a_), 3u);
  EXPECT_EQ(Restamp(a_), 0u);
  Sync(a_);
  EXPECT_EQ(core_.Text(), "before={\"n\":3,\"x\":1}\nk={\"x\":1,\"y\":1}\n");
  EXPECT_EQ(Waiting(), 0u) << "each twin was dropped";
  EXPECT_EQ(core_.tables().Facts("t")->quarantined, 0u);
  ASSERT_EQ(core_.Do(SetOf("k", "x", "2")), "");
  ASSERT_EQ(a_.Do(SetOf("k", "z", "1")), "");
  ASSERT_EQ(a_.Do(IncrementOf("before", "n", 4)), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), R"({"x":2,"y":1,"z":1})") << "the clock of the edge was set back as well";
  // The time comes that the withdrawn stamps had.
  for (Site* site : {&core_, &a_, &b_}) {
    site->clock().Advance(absl::Hours(2));
    ASSERT_EQ(site->tables().RunDue(), absl::OkStatus());
  }
  Sync(b_);
  Sync(a_);
  for (Site* site : {&core_, &a_, &b_}) {
    EXPECT_EQ(site->Text(), "before={\"n\":7,\"x\":1}\nk={\"x\":2,\"y\":1,\"z\":1}\n");
  }
}

TEST_F(TableFlowsAhead, AWriteBeforeTheRowIsStampedAgainIsNotLost) {
  a_.clock().Advance(absl::Hours(1));
  std::vector<RowOperation> many;
  for (int i = 0; i < 600; ++i) many.push_back(PutOf("m" + std::to_string(100 + i), R"({"x":1})"));
  ASSERT_EQ(a_.node().Do(std::move(many)), "");
  Sync(a_);
  a_.clock().JumpTo(core_.clock().Wall());
  // Once the first rows are done, somebody writes to one of the last: its clock is back, the row is not.
  bool written = false;
  const int watch = a_.tables().Watch([&] {
    if (!std::exchange(written, true)) a_.tables().Write("t", {SetOf("m699", "x", "2")}, [](const auto&) {});
  });
  EXPECT_EQ(Restamp(a_), 602u) << "that row was stamped again by the write";
  a_.tables().Unwatch(watch);
  EXPECT_EQ(a_.Json("m699"), R"({"x":2})");
  Sync(a_);
  EXPECT_EQ(core_.Json("m699"), R"({"x":2})");
  EXPECT_EQ(a_.Digests(), core_.Digests());
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(TableFlowsAhead, WhatComesInPartsIsDroppedInParts) {
  Restamp(a_);
  ASSERT_EQ(a_.Do(SetOf("k", "x", "5")), "");
  a_.Restart();
  ASSERT_EQ(a_.Do(SetOf("before", "x", "6")), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), R"({"x":5,"y":1})");
  EXPECT_EQ(core_.Json("before"), R"({"n":3,"x":6})");
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(TableFlowsAhead, WhatWasWrittenElsewhereMeanwhileIsListed) {
  ASSERT_EQ(core_.Do(SetOf("before", "x", "7")), "");
  a_.clock().Advance(absl::Seconds(1));
  Restamp(a_);
  Sync(a_);
  const auto conflicts = *core_.tables().Conflicts("t", 10);
  ASSERT_THAT(conflicts, SizeIs(1));
  EXPECT_EQ(conflicts[0].kind(), "overwritten");
  EXPECT_EQ(conflicts[0].losing_value(), "7");
  EXPECT_EQ(conflicts[0].winning_value(), "1");
  EXPECT_EQ(a_.Json("before"), core_.Json("before"));
}

TEST_F(TableFlowsAhead, OtherEdgesHearOfItThroughWhoReplacedIt) {
  // The core's clock was wrong this time, so edges keep its writes apart.
  Restamp(a_);
  Sync(a_);
  core_.clock().Advance(absl::Hours(1));
  ASSERT_EQ(core_.Do(SetOf("k", "x", "100")), "");
  Sync(b_);
  Sync(a_);
  EXPECT_THAT(*b_.tables().Quarantined("t", 10), SizeIs(1));
  core_.clock().JumpTo(b_.clock().Wall());
  EXPECT_EQ(Restamp(core_), 1u);
  Sync(a_);
  a_.clock().Advance(absl::Seconds(1));
  ASSERT_EQ(a_.Do(SetOf("k", "x", "101")), "");
  Sync(a_);
  Sync(b_);
  EXPECT_EQ(b_.Json("k"), R"({"x":101,"y":1})");
  EXPECT_THAT(*b_.tables().Quarantined("t", 10), IsEmpty()) << "it never saw the core's own";
}

TEST_F(TableFlowsAhead, StampsThatOthersMayHaveMergedAreNotTakenBack) {
  // The clocks of all were an hour ahead.
  core_.clock().Advance(absl::Hours(1));
  Sync(a_);
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), R"({"x":1,"y":1})");
  core_.clock().JumpTo(a_.clock().Wall());
  EXPECT_EQ(ErrorKind(core_.tables().RestampAhead().status()), "others_ahead");
  EXPECT_EQ(core_.tables().CheckInvariants(), absl::OkStatus());
}

TEST_F(TableFlowsAhead, WhatWaitsIsDiscardedAndListed) {
  const size_t waiting = Waiting();
  EXPECT_EQ(*core_.tables().DiscardQuarantined("t", "k"), 2u);
  EXPECT_EQ(Waiting(), waiting - 2);
  EXPECT_EQ(*core_.tables().DiscardQuarantined("t", "nothing"), 0u);
  core_.Restart();
  EXPECT_EQ(*core_.tables().DiscardQuarantined("t", std::nullopt), waiting - 2);
  EXPECT_EQ(core_.tables().Facts("t")->quarantined, 0u);
  const auto conflicts = *core_.tables().Conflicts("t", 100);
  const auto x_of_k = std::find_if(conflicts.begin(), conflicts.end(), [](const auto& conflict) {
    return conflict.key() == "k" && conflict.field() == "x";
  });
  ASSERT_NE(x_of_k, conflicts.end());
  EXPECT_EQ(x_of_k->kind(), "discarded");
  EXPECT_EQ(x_of_k->losing_value(), "1");
  EXPECT_EQ(x_of_k->loser_store(), a_.store_id().bytes());
  core_.clock().Advance(absl::Hours(2));
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), "");
}

TEST_F(TableFlows, ALifeThatIsLengthenedElsewhereBringsTheRowBack) {
  ASSERT_EQ(core_.Do(PutOf("k", R"({"x":1})", core_.now_ms() + 1000)), "");
  Sync(a_);
  Sync(b_);
  ASSERT_EQ(b_.Do({"k", Update{.expiry = Update::NewExpiry{b_.now_ms() + 360'000'000}}}), "");
  for (Site* site : {&core_, &a_, &b_}) {
    site->clock().Advance(absl::Hours(25));
    ASSERT_EQ(site->tables().RunDue(), absl::OkStatus());
  }
  EXPECT_EQ(core_.Counts().rows, 0u);
  Sync(b_);
  EXPECT_EQ(core_.Json("k"), R"({"x":1})");
  Sync(a_);
  EXPECT_EQ(a_.Json("k"), R"({"x":1})");
}

TEST_F(TableFlows, WhatAPeerSendsIsAdmittedByItsSize) {
  const std::string large(100'000, 'x');
  Incoming incoming{.incarnation = kIncarnation, .peer = a_.store_id(), .fence = {"edge", SessionEpoch(1)}};
  core_.node().fences().Raise(incoming.fence);
  incoming.changes.push_back({"k", table::Put({}, ParseFields(R"({"x":")" + large + R"("})").value(), {},
                                              samples::At(core_.now_ms(), 2))});
  incoming.bytes = large.size();
  core_.node().budget().Measured(0, (1 << 20) + 50'000);
  std::string outcome;
  core_.tables().Apply("t", incoming, [&](const absl::Status& status) { outcome = ErrorKind(status); });
  EXPECT_EQ(outcome, "disk_full");
}

TEST_F(TableFlows, ASupersededSessionWritesNothing) {
  ASSERT_EQ(a_.Do(PutOf("k", "{}")), "");
  TableSource source(a_.tables(), {.table = "t", .definition = Shared(), .store_id = a_.store_id()});
  const v1::FlowOpen open = source.Describe();
  const Fence old{"edge", SessionEpoch(1)};
  core_.node().fences().Raise(old);
  TableSink sink(core_.tables(),
                 {.table = "t",
                  .incarnation = kIncarnation,
                  .store_id = core_.store_id(),
                  .peer = a_.store_id(),
                  .fence = old},
                 TableSink::Resume(std::nullopt, open, random_), open.history(),
                 [](const auto& run) { run(); });
  source.Acknowledged(sink.position());
  const auto entries = source.Read(Offset(0), 1000);
  ASSERT_THAT(*entries, SizeIs(1));
  core_.node().fences().Raise({"edge", SessionEpoch(2)});
  std::string outcome;
  sink.Persist((*entries)[0], [&](const auto& done) { outcome = ErrorKind(done.status()); });
  while (core_.node().committer().CommitOnce()) {
  }
  EXPECT_EQ(outcome, "stale_session");
  EXPECT_EQ(core_.Json("k"), "");
  EXPECT_EQ(*core_.tables().Cursor("t", a_.store_id()), std::nullopt);
}

TEST_F(TableFlows, WhatAnEdgeMayNotWriteIsListedAndNotTaken) {
  Incoming incoming{.incarnation = kIncarnation,
                    .peer = a_.store_id(),
                    .fence = {"edge", SessionEpoch(1)},
                    .allowed = "a/"};
  core_.node().fences().Raise(incoming.fence);
  incoming.changes.push_back({"b/1", table::Put({}, {}, {}, samples::At(core_.now_ms(), 2))});
  incoming.changes.push_back({"a/1", table::Put({}, {}, {}, samples::At(core_.now_ms(), 2))});
  std::optional<absl::Status> done;
  core_.tables().Apply("t", incoming, [&](const absl::Status& status) { done = status; });
  while (core_.node().committer().CommitOnce()) {
  }
  EXPECT_EQ(done, absl::OkStatus());
  EXPECT_EQ(core_.Json("b/1"), "");
  EXPECT_EQ(core_.Json("a/1"), "{}");
  const auto conflicts = *core_.tables().Conflicts("t", 10);
  ASSERT_THAT(conflicts, SizeIs(1));
  EXPECT_EQ(conflicts[0].kind(), "not_allowed");
  EXPECT_EQ(conflicts[0].key(), "b/1");
}

TEST_F(TableFlows, BrokenEntriesAreRefused) {
  TableSource source(core_.tables(),
                     {.table = "t", .definition = Shared(), .store_id = core_.store_id(), .snapshots = true});
  const v1::FlowOpen open = source.Describe();
  TableSink sink(a_.tables(),
                 {.table = "t",
                  .incarnation = kIncarnation,
                  .store_id = a_.store_id(),
                  .peer = core_.store_id(),
                  .snapshots = true},
                 TableSink::Resume(std::nullopt, open, random_), open.history(),
                 [](const auto& run) { run(); });
  const auto check = [&](EntryKind kind, int64_t from, int64_t to, std::string body) {
    return ErrorKind(
        sink.Check({.kind = kind, .from = Offset(from), .to = Offset(to), .body = Bytes(std::move(body))}));
  };
  const std::string last = IntervalBody(std::nullopt, {}, 0, "");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, kFeedBase + 1, last), "");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, 1, last), "protocol_error");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, kFeedBase, IntervalBody("k", {}, 0, "")), "protocol_error");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, 1, IntervalBody("k", {}, 0, "")), "");
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, 1, "x"), "corrupt_changes");
  EXPECT_EQ(check(EntryKind::kTableChanges, 0, 1, ""), "protocol_error");
  EXPECT_EQ(check(EntryKind::kTableChanges, 0, kFeedBase + 1, "junk"), "corrupt_changes");
  EXPECT_EQ(check(EntryKind::kBatch, 0, kFeedBase + 1, ""), "unknown_encoding");
  ChangesWriter outside;
  outside.Add({"z", table::Delete({}, samples::At(1, 1))});
  EXPECT_EQ(check(EntryKind::kTableInterval, 0, 1, IntervalBody("k", {}, 0, std::move(outside).Take())),
            "protocol_error");
}

}  // namespace
}  // namespace selvage::table
