#include "tests/contract/log/log_contract.h"

namespace selvage {
namespace {

class LogReopen : public LogContract {};
INSTANTIATE_TEST_SUITE_P(Stores, LogReopen, ::testing::ValuesIn(AllStoreKinds()), NameOfKind);

TEST_P(LogReopen, FindsEverythingAgain) {
  EmbeddedLog& log = node().Source();
  Fill(log, {3, 2, 4});
  ASSERT_TRUE(log.StartLeaderEpoch(LeaderEpoch(3)).ok());
  Fill(log, {1});
  ASSERT_TRUE(log.Trim(Offset(5), Offset(3), GapReason::kDroppedForSpace).ok());
  log.SetAcknowledged(Offset(3));
  ASSERT_TRUE(node().logs().FlushAcknowledged().ok());
  Fill(log, {2});
  const LogState before = log.state();
  const std::string shape = Shape(AllEntries(log));
  Reopen(EndsOf(node().logs()));
  EXPECT_TRUE(node().problems().empty());
  EmbeddedLog& again = SourceAgain();
  const LogState after = again.state();
  EXPECT_EQ(after.position(), before.position());
  EXPECT_EQ(after.start, before.start);
  EXPECT_EQ(after.leader_epochs, before.leader_epochs);
  EXPECT_EQ(after.log_bytes, before.log_bytes);
  EXPECT_EQ(after.bytes_before_start, before.bytes_before_start);
  EXPECT_EQ(after.max_timestamp, before.max_timestamp);
  EXPECT_EQ(after.append_ms, before.append_ms);
  EXPECT_EQ(again.acknowledged(), Offset(3));
  EXPECT_EQ(Shape(AllEntries(again)), shape);
  Fill(again, {1});
  EXPECT_EQ(AllEntries(again).back().hash_before, before.hash);
}

TEST_P(LogReopen, AcknowledgementsAreStoredDownAsWellAsUp) {
  EmbeddedLog& log = node().Source();
  Fill(log, {3, 2, 4});
  log.SetAcknowledged(Offset(3));
  ASSERT_TRUE(node().logs().FlushAcknowledged().ok());
  log.SetAcknowledged(Offset(5));
  ASSERT_TRUE(log.Trim(Offset(3), std::nullopt, GapReason::kExpired).ok()) << "which stores it as well";
  log.SetAcknowledged(Offset(3));
  ASSERT_TRUE(node().logs().FlushAcknowledged().ok());
  Reopen();
  EXPECT_EQ(SourceAgain().acknowledged(), Offset(3));
}

TEST_P(LogReopen, CreateSupersedes) {
  EmbeddedLog& former = node().Source(1);
  Fill(former, {2});
  EmbeddedLog& current = node().Source(2);
  Fill(current, {5});
  EXPECT_TRUE(former.superseded());
  EXPECT_EQ(KindOfError(node().Append(former, ProducedBatch())), "log_closed");
  Reopen();
  EXPECT_EQ(SourceAgain().state().id, IdOf(2));
  std::vector<std::shared_ptr<Log>> all = node().logs().All();
  ASSERT_EQ(all.size(), 2u);
  Log& kept = all[0]->superseded() ? *all[0] : *all[1];
  EXPECT_EQ(kept.state().id, IdOf(1));
  EXPECT_EQ(Shape(AllEntries(kept)), "[0,2)batch") << "it is kept and can be read";
}

TEST_P(LogReopen, NumbersAreNeverReused) {
  Fill(node().Source(), {2});
  const LogNumber first = SourceAgain().number();
  ASSERT_EQ(*node().logs().DeleteStream("sensors", [](WriteBatch&) {}), 1);
  Reopen();
  EXPECT_TRUE(node().logs().All().empty());
  EmbeddedLog& fresh = node().Source(2);
  EXPECT_GT(fresh.number(), first);
  EXPECT_EQ(fresh.state().end, Offset(0));
  EXPECT_TRUE(AllEntries(fresh).empty());
}

TEST_P(LogReopen, DeletedStreamStaysDeleted) {
  std::shared_ptr<EmbeddedLog> former_held = node().Source(1).shared_from_this();
  std::shared_ptr<EmbeddedLog> held = node().Source(2).shared_from_this();
  EmbeddedLog& former = *former_held;
  EmbeddedLog& log = *held;
  EmbeddedLog& other = node().Create(LogOrigin{"", Slot(0), "alarms", PartitionId(0)}, 3);
  Fill(log, {2, 2});
  ASSERT_TRUE(node().AppendGap(log, Offset(9)).ok());
  Fill(other, {1});
  std::string late;
  ASSERT_TRUE(log.Append(ProducedBatch(), [&](const auto& p) { late = KindOfError(p); }).ok());
  ASSERT_EQ(*node().logs().DeleteStream("sensors", [](WriteBatch&) {}), 2);
  EXPECT_EQ(late, "unknown_stream") << "a write in the queue is refused, not stored";
  EXPECT_EQ(node().logs().FindEmbedded(log.origin()), nullptr);
  EXPECT_EQ(KindOfError(log.Read(Offset(0), kAll)), "unknown_stream");
  EXPECT_EQ(KindOfError(node().Append(log, ProducedBatch())), "unknown_stream");
  EXPECT_EQ(KindOfError(log.Trim(Offset(2), std::nullopt, GapReason::kExpired)), "unknown_stream");
  EXPECT_EQ(KindOfError(log.StartLeaderEpoch(LeaderEpoch(9))), "unknown_stream");
  EXPECT_EQ(KindOfError(log.AcceptLoss(Offset(0))), "unknown_stream");
  log.SetAcknowledged(Offset(1));
  former.SetAcknowledged(Offset(1));
  ASSERT_TRUE(node().logs().FlushAcknowledged().ok());
  // As a flush does that was queued while the stream was being deleted.
  ASSERT_TRUE(Commit(node().committer(), [&](WriteBatch& batch) {
                log.staging().StageAcknowledged(batch);
                return absl::OkStatus();
              }).ok());
  EXPECT_TRUE(node().logs().Losses()->empty());
  former_held.reset();
  held.reset();
  Reopen();
  ASSERT_EQ(node().logs().All().size(), 1u);
  EXPECT_EQ(Shape(AllEntries(*node().logs().All().front())), "[0,1)batch");
}

TEST_P(LogReopen, AdoptTakesOverAnEmptyLog) {
  const LogOrigin origin = node().Source(1).origin();
  const LogPosition end{IdOf(9), Offset(100), ChainHash(77)};
  const auto adopt = [&](int epoch) {
    return node().logs().AdoptAll({{origin, end, LeaderEpoch(epoch)}}, [](WriteBatch&) {});
  };
  ASSERT_TRUE(adopt(4).ok());
  EXPECT_TRUE(SourceAgain().state().never_written());
  ASSERT_TRUE(adopt(5).ok()) << "again, as when the link broke";
  Reopen();
  EmbeddedLog& again = SourceAgain();
  EXPECT_TRUE(again.state().never_written());
  EXPECT_EQ(again.state().position(), end);
  EXPECT_EQ(again.state().base, Offset(100));
  EXPECT_EQ(again.state().start, Offset(100));
  EXPECT_EQ(again.state().leader_epochs,
            (std::vector<std::pair<LeaderEpoch, Offset>>{{LeaderEpoch(5), Offset(100)}}));
  Fill(again, {2});
  EXPECT_EQ(Shape(AllEntries(again)), "[100,102)batch");
  EXPECT_EQ(AllEntries(again).front().hash_before, ChainHash(77));
  EXPECT_EQ(KindOfError(adopt(6)), "not_empty");
  ASSERT_TRUE(again.Trim(Offset(102), std::nullopt, GapReason::kExpired).ok());
  EXPECT_FALSE(again.state().never_written()) << "an emptied log was written";
  EXPECT_EQ(KindOfError(adopt(6)), "not_empty");
}

TEST_P(LogReopen, AnAdoptionDoesNotLowerTheEndOfALog) {
  const LogOrigin origin = node().Source(1).origin();
  const auto adopt = [&](int id, int64_t offset) {
    return node().logs().AdoptAll({{origin, {IdOf(id), Offset(offset), ChainHash(77)}, LeaderEpoch(2)}},
                                  [](WriteBatch&) {});
  };
  ASSERT_TRUE(adopt(8, 100).ok());
  const std::map<LogNumber, Offset> recorded = EndsOf(node().logs());
  EmbeddedLog& further = SourceAgain();
  ASSERT_TRUE(adopt(9, 40).ok()) << "by a core that was set back";
  EXPECT_EQ(SourceAgain().state().end, Offset(40));
  EXPECT_TRUE(further.superseded());
  Reopen(recorded);
  EXPECT_TRUE(node().problems().empty()) << "nothing that was acknowledged is missing";
  EXPECT_EQ(SourceAgain().state().position(), (LogPosition{IdOf(9), Offset(40), ChainHash(77)}));
  Fill(SourceAgain(), {2});
  EXPECT_EQ(Shape(AllEntries(SourceAgain())), "[40,42)batch");
}

TEST_P(LogReopen, AdoptAllIsOneStep) {
  EmbeddedLog& empty = node().Source(1);
  EmbeddedLog& written = node().Create(LogOrigin{"", Slot(0), "alarms", PartitionId(0)}, 2);
  const LogOrigin missing{"", Slot(0), "events", PartitionId(1)};
  Fill(written, {1});
  const LogPosition end{IdOf(9), Offset(100), ChainHash(77)};
  const LogPosition other_end{IdOf(10), Offset(7), ChainHash(8)};
  const auto also = [](WriteBatch& batch) { batch.Put(Family::kMeta, "also", {"x"}); };
  EXPECT_EQ(KindOfError(node().logs().AdoptAll({{empty.origin(), end, LeaderEpoch(4)},
                                                {missing, other_end, LeaderEpoch(2)},
                                                {written.origin(), end, LeaderEpoch(4)}},
                                               also)),
            "not_empty");
  EXPECT_EQ(empty.state().id, IdOf(1)) << "all or nothing";
  EXPECT_EQ(node().logs().FindEmbedded(missing), nullptr);
  EXPECT_FALSE(store().Get(Family::kMeta, "also")->has_value());
  int advanced = 0;
  empty.Watch([&] { ++advanced; });
  ASSERT_TRUE(
      node()
          .logs()
          .AdoptAll({{empty.origin(), end, LeaderEpoch(4)}, {missing, other_end, LeaderEpoch(2)}}, also)
          .ok());
  EXPECT_EQ(advanced, 1);
  for (bool reopened : {false, true}) {
    if (reopened) Reopen();
    EXPECT_EQ(SourceAgain().state().position(), end);
    ASSERT_NE(node().logs().FindEmbedded(missing), nullptr);
    EXPECT_EQ(node().logs().FindEmbedded(missing)->state().position(), other_end);
    EXPECT_EQ(node().logs().FindEmbedded(missing)->state().leader_epoch(), LeaderEpoch(2));
    EXPECT_EQ(**store().Get(Family::kMeta, "also"), "x");
  }
  EXPECT_GT(node().Source(3).number(), node().logs().FindEmbedded(missing)->number()) << "numbers go on";
}

TEST_P(LogReopen, BranchAllIsOneStep) {
  EmbeddedLog& log = node().Source(1);
  EmbeddedLog& other = node().Create(LogOrigin{"", Slot(0), "alarms", PartitionId(0)}, 2);
  Fill(log, {3, 2});
  Fill(other, {1});
  const LogPosition fork = *log.BoundaryAtOrBefore(Offset(3));
  std::vector<EmbeddedLogStore::Branching> branchings = {
      {log.shared_from_this(), IdOf(11), fork},
      {other.shared_from_this(), IdOf(12), other.state().position()}};
  other.Hold(absl::DataLossError("damaged"));
  EXPECT_FALSE(node().logs().BranchAll(branchings, [](WriteBatch&) {}).ok());
  EXPECT_EQ(log.state().id, IdOf(1)) << "all or nothing";
  ASSERT_TRUE(other.AcceptLoss(Offset(0)).ok());
  ASSERT_TRUE(node()
                  .logs()
                  .BranchAll(branchings, [](WriteBatch& batch) { batch.Put(Family::kMeta, "also", {"x"}); })
                  .ok());
  branchings.clear();
  for (bool reopened : {false, true}) {
    if (reopened) Reopen();
    EmbeddedLog& now = SourceAgain();
    EXPECT_EQ(now.state().id, IdOf(11));
    EXPECT_EQ(now.state().base, Offset(3));
    EXPECT_EQ(now.state().base_hash, fork.hash);
    EXPECT_EQ(now.state().end, Offset(5));
    EXPECT_EQ(now.acknowledged(), Offset(3));
    EXPECT_EQ(Shape(AllEntries(now)), "[0,3)batch [3,5)batch");
    EXPECT_EQ(node().logs().FindEmbedded(LogOrigin{"", Slot(0), "alarms", PartitionId(0)})->state().id,
              IdOf(12));
    EXPECT_EQ(**store().Get(Family::kMeta, "also"), "x");
  }
}

}  // namespace
}  // namespace selvage
