#include "fabric/stream/log_flow.h"
#include "tests/contract/log/log_contract.h"

namespace selvage {
namespace {

class LogTrim : public LogContract {
 protected:
  void SetUp() override {
    Fill(log_, {3, 2, 5, 1, 4});  // [0,3) [3,5) [5,10) [10,11) [11,15)
    entries_ = AllEntries(log_);
  }
  ChainHash HashAt(Offset boundary) {
    if (boundary == Offset(0)) return ChainHash(0);
    for (const Entry& entry : entries_) {
      if (entry.to == boundary) return entry.hash_after;
    }
    ADD_FAILURE() << boundary.value() << " is no boundary";
    return ChainHash(0);
  }
  absl::Status Drop(Offset to, Offset unacknowledged_from) {
    return log_.Trim(to, unacknowledged_from, GapReason::kDroppedForSpace);
  }

  /// Replicates through the flow ports from a replica that stands at `at`, with its hash there, and expects
  /// it to end where the source ends. The entries that travelled.
  std::string Resume(Offset at) {
    LogFlowSource flow(log_.shared_from_this(), {});
    const LogPosition held{IdOf(1), at, HashAt(at)};
    auto continues = flow.history()->Continues(ToFlowPosition(held));
    EXPECT_TRUE(continues.ok() && *continues) << "at " << at.value();
    replica_ = node()
                   .Create(LogOrigin{"rig", Slot(next_slot_++), "sensors", PartitionId(0)}, 1, held)
                   .shared_from_this();
    EmbeddedLog& replica = *replica_;
    node().RaiseFence({"rig", SessionEpoch(1)});
    LogFlowSink sink(replica_, kAll, {"rig", SessionEpoch(1)});
    while (replica.state().end < log_.state().end) {
      auto read = flow.Read(replica.state().end, 1);
      EXPECT_TRUE(read.ok()) << read.status();
      if (!read.ok()) return "";
      EXPECT_EQ(read->front().from, replica.state().end);
      const FlowEntry entry = read->front();
      EXPECT_TRUE(sink.Check(entry).ok());
      EXPECT_TRUE(node().AppendReplica(replica, entry).ok());
      EXPECT_EQ(replica.state().hash, read->front().hash_after);
    }
    EXPECT_EQ(replica.state().position(), log_.state().position()) << "resumed at " << at.value();
    return Shape(AllEntries(replica));
  }

  EmbeddedLog& log_ = node().Source();
  std::shared_ptr<EmbeddedLog> replica_;  // of the last Resume
  uint32_t next_slot_ = 0;
  std::vector<Entry> entries_;
};
INSTANTIATE_TEST_SUITE_P(Stores, LogTrim, ::testing::ValuesIn(AllStoreKinds()), NameOfKind);

TEST_P(LogTrim, AcknowledgedEntriesLeaveNothingBehind) {
  ASSERT_TRUE(log_.Trim(Offset(5), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[5,10)batch [10,11)batch [11,15)batch");
  EXPECT_EQ(log_.state().bytes_before_start, entries_[1].log_bytes);
  EXPECT_EQ(log_.state().end, Offset(15));
  ASSERT_TRUE(log_.Trim(Offset(11), Offset(11), GapReason::kExpired).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[11,15)batch");
  EXPECT_TRUE(node().logs().Losses()->empty());
}

TEST_P(LogTrim, RoundsDownToABoundary) {
  ASSERT_TRUE(log_.Trim(Offset(2), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(log_.state().start, Offset(0));
  ASSERT_TRUE(log_.Trim(Offset(9), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(log_.state().start, Offset(5));
  ASSERT_TRUE(log_.Trim(Offset(4), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(log_.state().start, Offset(5)) << "the start never goes down";
}

TEST_P(LogTrim, DeletedRecordsAreHiddenInsideOfAnEntry) {
  ASSERT_TRUE(log_.DeleteRecords(Offset(7)).ok());
  EXPECT_EQ(log_.state().log_start(), Offset(7));
  EXPECT_EQ(log_.state().start, Offset(5));
  EXPECT_EQ(Shape(AllEntries(log_)), "[5,10)batch [10,11)batch [11,15)batch");
  ASSERT_TRUE(log_.DeleteRecords(Offset(6)).ok());
  EXPECT_EQ(log_.state().log_start(), Offset(7)) << "it never goes down";
  Reopen();
  EmbeddedLog& again = SourceAgain();
  EXPECT_EQ(again.state().log_start(), Offset(7));
  EXPECT_EQ(again.state().start, Offset(5));
  ASSERT_TRUE(again.Trim(Offset(10), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(again.state().log_start(), Offset(10));
  ASSERT_TRUE(again.DeleteRecords(Offset(99)).ok());
  EXPECT_EQ(again.state().log_start(), Offset(15)) << "the end at most";
  EXPECT_EQ(Shape(AllEntries(again)), "");
}

TEST_P(LogTrim, DroppingLeavesOneLeadingGapThatGrows) {
  ASSERT_TRUE(Drop(Offset(10), Offset(3)).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[3,10)gap:dropped_for_space [10,11)batch [11,15)batch");
  Gap gap = *DecodeGap(AllEntries(log_).front().body.view());
  EXPECT_EQ(gap.hash_after, HashAt(Offset(10)));
  EXPECT_EQ(AllEntries(log_).front().hash_before, HashAt(Offset(3)));
  ASSERT_TRUE(Drop(Offset(10), Offset(3)).ok()) << "nothing left to do";
  ASSERT_TRUE(Drop(Offset(11), Offset(3)).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[3,11)gap:dropped_for_space [11,15)batch");
  EXPECT_EQ(Shape(*log_.Read(Offset(7), kAll)), "[3,11)gap:dropped_for_space [11,15)batch");
  ASSERT_TRUE(Drop(Offset(15), Offset(3)).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[3,15)gap:dropped_for_space");
  EXPECT_EQ(log_.state().bytes(), 0u);
  ASSERT_EQ(node().logs().Losses()->size(), 1u);
  Fill(log_, {1});
  EXPECT_EQ(AllEntries(log_).back().hash_before, HashAt(Offset(15)));
  // Once the replica has the gap, it goes like any entry.
  ASSERT_TRUE(log_.Trim(Offset(15), Offset(15), GapReason::kExpired).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[15,16)batch");
  EXPECT_TRUE(node().logs().Losses()->empty());
}

// The two worked examples, of Log::Trim and of Gap.
TEST_P(LogTrim, GoesAsTheHeaderSays) {
  ASSERT_TRUE(Drop(Offset(10), Offset(3)).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[3,10)gap:dropped_for_space [10,11)batch [11,15)batch");
  EXPECT_EQ(Resume(Offset(5)), "[5,10)gap:dropped_for_space [10,11)batch [11,15)batch");
  ASSERT_TRUE(Drop(Offset(11), Offset(3)).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[3,11)gap:dropped_for_space [11,15)batch");
  ASSERT_TRUE(Drop(Offset(11), Offset(11)).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[11,15)batch");
}

TEST_P(LogTrim, AcknowledgedEntriesBeforeAGapStillGo) {
  ASSERT_TRUE(node().AppendGap(log_, Offset(20)).ok());
  ASSERT_TRUE(Drop(Offset(20), Offset(15)).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[15,20)gap:corrupt") << "what is a gap already keeps its reason";
}

TEST_P(LogTrim, GapKeepsTheEpochOfWhatItStandsFor) {
  ASSERT_TRUE(log_.StartLeaderEpoch(LeaderEpoch(6)).ok());
  Fill(log_, {2});
  ASSERT_TRUE(Drop(Offset(10), Offset(0)).ok());
  EXPECT_EQ(DecodeGap(AllEntries(log_).front().body.view())->leader_epoch, LeaderEpoch(0));
  Resume(Offset(0));
  EXPECT_EQ(replica_->state().leader_epochs, log_.state().leader_epochs);
}

TEST_P(LogTrim, ReplicaResumesFromEveryPosition) {
  ASSERT_TRUE(Drop(Offset(11), Offset(3)).ok());  // [3,11) is a gap, [0,3) is forgotten
  EXPECT_EQ(Resume(Offset(0)), "[0,3)gap:replica_regressed [3,11)gap:dropped_for_space [11,15)batch");
  EXPECT_EQ(Resume(Offset(3)), "[3,11)gap:dropped_for_space [11,15)batch");
  EXPECT_EQ(Resume(Offset(5)), "[5,11)gap:dropped_for_space [11,15)batch");
  EXPECT_EQ(Resume(Offset(10)), "[10,11)gap:dropped_for_space [11,15)batch");
  EXPECT_EQ(Resume(Offset(11)), "[11,15)batch");
  ASSERT_TRUE(Drop(Offset(15), Offset(11)).ok());
  EXPECT_EQ(Resume(Offset(3)), "[3,11)gap:replica_regressed [11,15)gap:dropped_for_space");
  ASSERT_TRUE(log_.Trim(Offset(15), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(Resume(Offset(10)), "[10,15)gap:replica_regressed");
}

TEST_P(LogTrim, OtherHistoriesDoNotContinue) {
  LogFlowSource flow(log_.shared_from_this(), {});
  replication::History& past = *flow.history();
  EXPECT_FALSE(*past.Continues({IdOf(2).bytes(), Offset(3), HashAt(Offset(3))}));
  EXPECT_FALSE(*past.Continues({IdOf(1).bytes(), Offset(3), ChainHash(1)}));
  EXPECT_FALSE(*past.Continues({IdOf(1).bytes(), Offset(4), HashAt(Offset(3))})) << "inside of a batch";
  EXPECT_FALSE(*past.Continues({IdOf(1).bytes(), Offset(16), ChainHash(1)})) << "beyond the end";
  EXPECT_TRUE(*past.Continues(ToFlowPosition(log_.state().position())));
  EXPECT_EQ(KindOfError(flow.Read(Offset(4), kAll)), "chain_mismatch");
}

TEST_P(LogTrim, EmptiedLogRemembersWhereItWas) {
  const LogPosition end = log_.state().position();
  ASSERT_TRUE(log_.Trim(Offset(15), std::nullopt, GapReason::kExpired).ok());
  Reopen({{log_.number(), Offset(15)}});
  EXPECT_TRUE(node().problems().empty());
  EmbeddedLog& again = SourceAgain();
  EXPECT_EQ(again.state().start, Offset(15));
  EXPECT_EQ(again.state().position(), end);
  EXPECT_FALSE(again.state().never_written());
  Fill(again, {2});
  EXPECT_EQ(Shape(AllEntries(again)), "[15,17)batch");
  EXPECT_EQ(AllEntries(again).front().hash_before, end.hash);
}

TEST_P(LogTrim, AppendsThatWaitInTheQueueSurviveATrim) {
  ASSERT_TRUE(log_.Append(ProducedBatch(2), [](const auto&) {}).ok());
  ASSERT_TRUE(log_.Trim(Offset(15), Offset(11), GapReason::kDroppedForSpace).ok());
  EXPECT_EQ(Shape(AllEntries(log_)), "[11,15)gap:dropped_for_space [15,17)batch");
}

}  // namespace
}  // namespace selvage
