#include "fabric/table/table_flow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/contract/table/table_flows.h"

namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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
