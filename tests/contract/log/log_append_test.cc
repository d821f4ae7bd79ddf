#include "fabric/base/endian.h"
#include "tests/contract/log/log_contract.h"

namespace selvage {
namespace {

class LogAppend : public LogContract {};
INSTANTIATE_TEST_SUITE_P(Stores, LogAppend, ::testing::ValuesIn(AllStoreKinds()), NameOfKind);

TEST_P(LogAppend, SourceAssignsOffsetsEpochAndChain) {
  EmbeddedLog& log = node().Source();
  ASSERT_TRUE(node().Append(log, ProducedBatch(3)).ok());
  ASSERT_TRUE(log.StartLeaderEpoch(LeaderEpoch(4)).ok());
  auto position = node().Append(log, ProducedBatch(2));
  ASSERT_TRUE(position.ok());

  const std::vector<Entry> entries = AllEntries(log);
  ASSERT_EQ(Shape(entries), "[0,3)batch [3,5)batch");
  EXPECT_EQ(ParseBatchHeader(entries[0].body.view())->leader_epoch, LeaderEpoch(0));
  EXPECT_EQ(ParseBatchHeader(entries[1].body.view())->leader_epoch, LeaderEpoch(4));
  EXPECT_TRUE(BatchCrcMatches(entries[1].body.view()));
  EXPECT_EQ(entries[0].hash_before, ChainHash(0));
  EXPECT_EQ(entries[0].hash_after, ChainBatch(ChainHash(0), entries[0].body.view()));
  EXPECT_EQ(entries[1].hash_before, entries[0].hash_after);
  EXPECT_EQ(*position, (LogPosition{IdOf(1), Offset(5), entries[1].hash_after}));
  EXPECT_EQ(log.state().position(), *position);
  EXPECT_EQ(log.state().log_bytes, entries[0].body.size() + entries[1].body.size());
  using Epochs = std::vector<std::pair<LeaderEpoch, Offset>>;
  EXPECT_EQ(log.state().leader_epochs, (Epochs{{LeaderEpoch(0), Offset(0)}, {LeaderEpoch(4), Offset(3)}}));
}

TEST_P(LogAppend, NothingIsVisibleBeforeTheSync) {
  EmbeddedLog& log = node().Source();
  int done = 0, advanced = 0;
  const int watch = log.Watch([&] { ++advanced; });
  ASSERT_TRUE(log.Append(ProducedBatch(3), [&](const auto& position) { done += position.ok(); }).ok());
  EXPECT_EQ(log.state().end, Offset(0));
  EXPECT_TRUE(log.state().never_written());
  EXPECT_TRUE(log.Read(Offset(0), kAll)->empty());
  EXPECT_EQ(KindOfError(log.Read(Offset(1), kAll)), "offset_out_of_range");
  EXPECT_EQ(done + advanced, 0);
  ASSERT_TRUE(node().committer().CommitOnce());
  EXPECT_EQ(log.state().end, Offset(3));
  EXPECT_FALSE(log.state().never_written());
  EXPECT_EQ(Shape(*log.Read(Offset(0), kAll)), "[0,3)batch");
  EXPECT_EQ(done, 1);
  EXPECT_EQ(advanced, 1);
  log.Unwatch(watch);
  ASSERT_TRUE(node().Append(log, ProducedBatch()).ok());
  EXPECT_EQ(advanced, 1);
}

TEST_P(LogAppend, ManyWritersShareOneSync) {
  EmbeddedLog& log = node().Source();
  EmbeddedLog& other = node().Create(LogOrigin{"", Slot(0), "alarms", PartitionId(1)}, 2);
  const uint64_t before = node().committer().stats().groups;
  std::vector<int64_t> ends;
  for (int i = 0; i < 20; ++i) {
    Log& to = i % 4 == 3 ? other : log;
    ASSERT_TRUE(
        to.Append(ProducedBatch(2), [&](const auto& p) { ends.push_back(p->end.offset.value()); }).ok());
  }
  node().CommitAll();
  EXPECT_EQ(node().committer().stats().groups, before + 1);
  EXPECT_EQ(ends,
            (std::vector<int64_t>{2, 4, 6, 2, 8, 10, 12, 4, 14, 16, 18, 6, 20, 22, 24, 8, 26, 28, 30, 10}));
  EXPECT_EQ(log.state().end, Offset(30));
  EXPECT_EQ(other.state().end, Offset(10));
}

TEST_P(LogAppend, GapAtTheEnd) {
  EmbeddedLog& log = node().Source();
  Fill(log, {3});
  ASSERT_TRUE(node().AppendGap(log, Offset(9), GapReason::kLostWithDisk).ok());
  EXPECT_EQ(KindOfError(node().AppendGap(log, Offset(9))), "out_of_sequence");
  Fill(log, {1});
  EXPECT_EQ(Shape(AllEntries(log)), "[0,3)batch [3,9)gap:lost_with_disk [9,10)batch");
  auto losses = node().logs().Losses();
  ASSERT_EQ(losses->size(), 1u);
  EXPECT_EQ(losses->front().origin, log.origin());
  EXPECT_EQ(losses->front().gap.to, Offset(9));
}

TEST_P(LogAppend, ReplicaIsIdenticalWithGapsAndSuccessions) {
  EmbeddedLog& source = node().Source();
  EmbeddedLog& replica = node().Replica();
  node().RaiseFence({"rig", SessionEpoch(1)});
  Fill(source, {3, 1});
  ASSERT_TRUE(source.StartLeaderEpoch(LeaderEpoch(2)).ok());
  ASSERT_TRUE(node().AppendGap(source, Offset(10)).ok());
  Fill(source, {5});
  for (const Entry& entry : AllEntries(source))
    ASSERT_TRUE(node().AppendReplica(replica, ToReplica(entry)).ok());

  const std::vector<Entry> ours = AllEntries(source), theirs = AllEntries(replica);
  ASSERT_EQ(Shape(theirs), Shape(ours));
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(theirs[i].body, ours[i].body);
    EXPECT_EQ(theirs[i].hash_after, ours[i].hash_after);
  }
  EXPECT_EQ(replica.state().position(), source.state().position());
  EXPECT_EQ(replica.state().leader_epochs, source.state().leader_epochs);
}

TEST_P(LogAppend, ReplicaRefusesWhatDoesNotFollow) {
  EmbeddedLog& source = node().Source();
  EmbeddedLog& replica = node().Replica();
  node().RaiseFence({"rig", SessionEpoch(1)});
  Fill(source, {3, 2, 4});
  const std::vector<Entry> entries = AllEntries(source);
  ASSERT_TRUE(node().AppendReplica(replica, ToReplica(entries[0])).ok());
  EXPECT_EQ(KindOfError(node().AppendReplica(replica, ToReplica(entries[0]))), "out_of_sequence")
      << "a repeat";
  EXPECT_EQ(KindOfError(node().AppendReplica(replica, ToReplica(entries[2]))), "out_of_sequence") << "a jump";
  FlowEntry lies = ToReplica(entries[1]);
  lies.to = Offset(9);
  EXPECT_EQ(KindOfError(node().AppendReplica(replica, lies)), "corrupt_batch");
  EXPECT_EQ(
      KindOfError(node().AppendReplica(replica, {EntryKind::kGap, Offset(3), Offset(5), Bytes("junk")})),
      "corrupt_gap");
  EXPECT_EQ(
      KindOfError(node().AppendReplica(replica, {EntryKind::kBatch, Offset(3), Offset(5), Bytes("junk")})),
      "corrupt_batch");
  EXPECT_EQ(Shape(AllEntries(replica)), "[0,3)batch");
  EXPECT_EQ(replica.state().end, Offset(3));
}

TEST_P(LogAppend, FenceIsAPlaceInTheQueue) {
  EmbeddedLog& source = node().Source();
  EmbeddedLog& replica = node().Replica();
  Fill(source, {1, 1, 1});
  const std::vector<Entry> entries = AllEntries(source);
  EXPECT_EQ(KindOfError(node().AppendReplica(replica, ToReplica(entries[0]))), "stale_session")
      << "never fenced";
  node().RaiseFence({"rig", SessionEpoch(7)});

  std::vector<std::string> outcomes;
  auto note = [&](const absl::StatusOr<LogPosition>& p) {
    outcomes.push_back(p.ok() ? "stored" : KindOfError(p));
  };
  const Fence old_session{"rig", SessionEpoch(7)}, new_session{"rig", SessionEpoch(8)};
  ASSERT_TRUE(replica.AppendReplica(ToReplica(entries[0]), old_session, note).ok());
  node().RaiseFence(new_session);  // commits what was queued before it as well
  ASSERT_TRUE(replica.AppendReplica(ToReplica(entries[1]), old_session, note).ok());
  ASSERT_TRUE(replica.AppendReplica(ToReplica(entries[1]), new_session, note).ok());
  ASSERT_TRUE(replica.AppendReplica(ToReplica(entries[2]), {"other", SessionEpoch(8)}, note).ok());
  node().CommitAll();
  EXPECT_EQ(outcomes, (std::vector<std::string>{"stored", "stale_session", "stored", "stale_session"}));
  EXPECT_EQ(replica.state().end, Offset(2));
}

TEST_P(LogAppend, TheDiskIsChargedForWhatIsWrittenAndForNothingElse) {
  LogNode node(store(), clock_, {}, {.budget = 1 << 20, .reserve = 1000}, 1 << 20, {.queue_bytes_max = 2000});
  EmbeddedLog& log = node.Source();
  const DiskBudget& budget = node.budget();
  std::string batch = ProducedBatch(1, 900);
  const uint64_t charge = 2 * batch.size();
  std::vector<std::string> answers;
  const auto note = [&](const absl::StatusOr<Appended>& appended) {
    answers.push_back(KindOfError(appended));
  };

  ASSERT_TRUE(log.Append(std::string(batch), note).ok());
  EXPECT_EQ(budget.charged(), charge) << "on its way";
  std::string refused = batch;
  EXPECT_EQ(KindOfError(log.Append(std::move(refused), note)), "overloaded");
  EXPECT_EQ(refused, batch) << "it can be tried again as it is";
  EXPECT_EQ(budget.charged(), charge) << "the queue turned it away";
  node.budget().Measured(0, 1 << 30);
  EXPECT_EQ(budget.charged(), charge) << "no file holds it yet";
  node.CommitAll();
  EXPECT_EQ(budget.charged(), charge) << "written, and not measured";
  node.budget().Measured(batch.size(), 1 << 30);
  EXPECT_EQ(budget.charged(), 0u);

  log.Hold(MakeError(absl::StatusCode::kDataLoss, "corrupt_entry", "held"));
  EXPECT_EQ(KindOfError(log.Append(std::string(batch), note)), "corrupt_entry");
  ASSERT_TRUE(log.AcceptLoss(std::nullopt).ok());
  ASSERT_TRUE(log.Append(std::string(batch), note).ok());
  log.Hold(MakeError(absl::StatusCode::kDataLoss, "corrupt_entry", "held"));
  node.CommitAll();
  EXPECT_EQ(budget.charged(), 0u) << "refused when its turn came";
  EXPECT_EQ(answers, (std::vector<std::string>{"", "corrupt_entry"}));
}

}  // namespace
}  // namespace selvage
