#include <fmt/format.h>

#include <random>

#include "fabric/storage/memory_store.h"
#include "fabric/stream/log_flow.h"
#include "fabric/stream/meta_keys.h"
#include "tests/contract/log/log_node.h"

namespace selvage {
namespace {

constexpr LogNumber kSource(1);  // what the first log of a store gets

class CrashingStore : public MemoryStore {
 public:
  using MemoryStore::LoseUnsynced;
  using MemoryStore::UnsyncedBatches;

  absl::Status Write(WriteBatch& batch, bool sync) override {
    return MemoryStore::Write(batch, sync && syncing_);
  }
  /// From now on a sync returns early, as from a disk that lies.
  void StopSyncing() { syncing_ = false; }
  void Change(Family family, const std::string& key, const std::function<void(std::string&)>& change) {
    std::string value = **Get(family, key);
    change(value);
    auto batch = NewBatch();
    batch->Put(family, key, {value});
    ASSERT_TRUE(Write(*batch, true).ok());
  }

 private:
  bool syncing_ = true;
};

class LogRecovery : public ::testing::Test {
 protected:
  LogRecovery() { Open({}); }

  void Open(const std::map<LogNumber, Offset>& acknowledged_ends) {
    node_.reset();
    node_ = std::make_unique<LogNode>(store_, clock_, acknowledged_ends);
  }
  EmbeddedLog& Find(const std::string& edge = "") {
    return *node_->logs().FindEmbedded(
        LogOrigin{edge, Slot(edge.empty() ? 0 : 3), "sensors", PartitionId(0)});
  }
  void Fill(Log& log, std::initializer_list<int> batches) {
    for (int records : batches) ASSERT_TRUE(node_->Append(log, ProducedBatch(records)).ok());
  }
  void FlipBit(EmbeddedLog& log, Offset at, size_t byte) {
    store_.Change(Family::kLog, LogKey(log.number(), at), [&](std::string& value) { value[byte] ^= 1; });
  }

  FakeClock clock_;
  CrashingStore store_;
  std::unique_ptr<LogNode> node_;
};

TEST_F(LogRecovery, ACrashLeavesAPrefixWithAllThatWasAcknowledged) {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    CrashingStore store;
    auto node = std::make_unique<LogNode>(store, clock_);
    std::shared_ptr<EmbeddedLog> log = node->Source().shared_from_this();
    for (int step = 0; step < 30; ++step) {
      switch (random() % 6) {
        case 0:
          ASSERT_TRUE(log->Trim(Offset(random() % (log->state().end.value() + 1)), Offset(random() % 20),
                                GapReason::kDroppedForSpace)
                          .ok());
          break;
        case 1:
          ASSERT_TRUE(log->StartLeaderEpoch(log->state().leader_epoch() + 1).ok());
          break;
        default:
          ASSERT_TRUE(node->Append(*log, ProducedBatch(1 + random() % 4)).ok());
      }
    }
    const LogState acknowledged = log->state();
    const std::string shape = Shape(AllEntries(*log));
    store.StopSyncing();
    std::vector<LogPosition> later;
    for (int i = 0; i < 5; ++i) later.push_back(*node->Append(*log, ProducedBatch(2)));
    log.reset();
    node.reset();
    const size_t kept = random() % (store.UnsyncedBatches() + 1);
    store.LoseUnsynced(kept);

    node = std::make_unique<LogNode>(store, clock_, std::map<LogNumber, Offset>{{kSource, acknowledged.end}});
    EXPECT_TRUE(node->problems().empty());
    log = node->logs().FindEmbedded(LogOrigin{"", Slot(0), "sensors", PartitionId(0)});
    EXPECT_EQ(log->state().position(), kept == 0 ? acknowledged.position() : later[kept - 1]);
    EXPECT_EQ(log->state().start, acknowledged.start);
    EXPECT_EQ(log->state().leader_epochs, acknowledged.leader_epochs);
    EXPECT_EQ(Shape(AllEntries(*log)).substr(0, shape.size()), shape);
  }
}

TEST_F(LogRecovery, ALogThatIsGoneIsAProblemUnlessItWasDeleted) {
  Fill(node_->Source(), {3});
  ASSERT_TRUE(node_->logs().DeleteStream("sensors", [](WriteBatch&) {}).ok());
  Open({{kSource, Offset(3)}});
  EXPECT_TRUE(node_->problems().empty()) << "the file of ends may be older than the deletion";

  const LogNumber vanished(5);
  Open({{kSource, Offset(3)}, {vanished, Offset(20)}});
  ASSERT_EQ(node_->problems().size(), 1u);
  EXPECT_EQ(node_->problems()[0].number, vanished);
  EXPECT_EQ(node_->problems()[0].log, nullptr);
  EXPECT_EQ(ErrorKind(node_->problems()[0].what), "recovered_less_than_acknowledged");
  EmbeddedLog& fresh = node_->Source(2);
  EXPECT_GT(fresh.number(), vanished);
  Open({{vanished, Offset(20)}});
  EXPECT_TRUE(node_->problems().empty()) << "said once; the alarm stays";
}

TEST_F(LogRecovery, ASourceThatLostWhatItAcknowledgedIsHeldUntilTheLossIsAccepted) {
  EmbeddedLog& log = node_->Source();
  Fill(log, {3, 2});
  const LogPosition end = log.state().position();
  Open({{kSource, Offset(20)}});
  ASSERT_EQ(node_->problems().size(), 1u);
  EXPECT_EQ(ErrorKind(node_->problems()[0].what), "recovered_less_than_acknowledged");
  EmbeddedLog& again = Find();
  EXPECT_EQ(KindOfError(again.Read(Offset(0), kAll)), "recovered_less_than_acknowledged");
  EXPECT_EQ(KindOfError(node_->Append(again, ProducedBatch())), "recovered_less_than_acknowledged");
  EXPECT_EQ(KindOfError(again.Trim(Offset(3), std::nullopt, GapReason::kExpired)),
            "recovered_less_than_acknowledged");
  Open({{kSource, Offset(20)}});
  ASSERT_EQ(node_->problems().size(), 1u) << "it stays held over restarts";

  EmbeddedLog& held = Find();
  int advanced = 0;
  held.Watch([&] { ++advanced; });
  ASSERT_TRUE(held.AcceptLoss(node_->problems()[0].acknowledged_end).ok());
  EXPECT_EQ(advanced, 1);
  EXPECT_EQ(Shape(AllEntries(held)), "[0,3)batch [3,5)batch [5,20)gap:lost_with_disk");
  EXPECT_EQ(AllEntries(held).back().hash_before, end.hash);
  Fill(held, {1});
  using Epochs = std::vector<std::pair<LeaderEpoch, Offset>>;
  EXPECT_EQ(held.state().leader_epochs, (Epochs{{LeaderEpoch(0), Offset(0)}, {LeaderEpoch(1), Offset(5)}}));
  const LogState state = held.state();
  Open({{kSource, Offset(21)}});
  EXPECT_TRUE(node_->problems().empty());
  EXPECT_EQ(Find().state().position(), state.position());
  EXPECT_EQ(Find().state().leader_epochs, state.leader_epochs);
  EXPECT_EQ(node_->logs().Losses()->size(), 1u);
}

TEST_F(LogRecovery, EpochsThatBeganInWhatWasLostAreForgotten) {
  using Epochs = std::vector<std::pair<LeaderEpoch, Offset>>;
  EmbeddedLog& log = node_->Source();
  Fill(log, {3, 2});
  ASSERT_TRUE(log.StartLeaderEpoch(LeaderEpoch(1)).ok());
  Fill(log, {4});
  ASSERT_TRUE(log.StartLeaderEpoch(LeaderEpoch(2)).ok());
  EmbeddedLog& replica = node_->Replica();
  node_->RaiseFence({"rig", SessionEpoch(1)});
  for (const Entry& entry : AllEntries(log))
    ASSERT_TRUE(node_->AppendReplica(replica, ToReplica(entry)).ok());
  ASSERT_EQ(replica.state().leader_epochs,
            (Epochs{{LeaderEpoch(0), Offset(0)}, {LeaderEpoch(1), Offset(5)}}));
  for (LogNumber number : {kSource, replica.number()}) {
    auto batch = store_.NewBatch();
    batch->DeleteRange(Family::kLog, LogKey(number, Offset(3)), LogKey(number + 1, Offset(0)));
    ASSERT_TRUE(store_.Write(*batch, true).ok());
  }
  Open({});
  ASSERT_EQ(node_->problems().size(), 2u);

  ASSERT_TRUE(Find().AcceptLoss(Offset(9)).ok());
  EXPECT_EQ(Find().state().leader_epochs, (Epochs{{LeaderEpoch(0), Offset(0)}, {LeaderEpoch(3), Offset(3)}}))
      << "above all that were lost";
  ASSERT_TRUE(Find("rig").AcceptLoss(std::nullopt).ok());
  EXPECT_EQ(Find("rig").state().leader_epochs, (Epochs{{LeaderEpoch(0), Offset(0)}}));
  for (const std::string edge : {"", "rig"}) EXPECT_EQ(Find(edge).CheckInvariants(), absl::OkStatus());
}

TEST_F(LogRecovery, AReplicaGoesOnAtItsEndAndGetsTheRestAgain) {
  EmbeddedLog& source = node_->Source();
  Fill(source, {3, 2, 4});
  EmbeddedLog& replica = node_->Replica();
  node_->RaiseFence({"rig", SessionEpoch(1)});
  const std::vector<Entry> entries = AllEntries(source);
  ASSERT_TRUE(node_->AppendReplica(replica, ToReplica(entries[0])).ok());
  Open({{replica.number(), Offset(9)}});
  ASSERT_EQ(node_->problems().size(), 1u);
  EmbeddedLog& again = Find("rig");
  ASSERT_TRUE(again.AcceptLoss(std::nullopt).ok());
  EXPECT_EQ(again.state().end, Offset(3));
  node_->RaiseFence({"rig", SessionEpoch(2)});
  for (size_t i : {1, 2}) {
    ASSERT_TRUE(node_->AppendReplica(again, ToReplica(entries[i]), {"rig", SessionEpoch(2)}).ok());
  }
  EXPECT_EQ(again.state().position(), Find().state().position());
}

TEST_F(LogRecovery, ADamagedLastEntryIsHeldAndItsOffsetsAreNotGivenAgain) {
  EmbeddedLog& log = node_->Source();
  Fill(log, {3, 2, 4});
  const ChainHash before_damage = AllEntries(log)[1].hash_after;
  FlipBit(log, Offset(5), 20);  // in the entry header; the batch still tells how long it is
  Open({});
  ASSERT_EQ(node_->problems().size(), 1u);
  EXPECT_EQ(ErrorKind(node_->problems()[0].what), "corrupt_entry");
  EmbeddedLog& held = Find();
  EXPECT_EQ(held.state().end, Offset(5)) << "the last end that is whole";
  ASSERT_TRUE(held.AcceptLoss(node_->problems()[0].acknowledged_end).ok());
  EXPECT_EQ(Shape(AllEntries(held)), "[0,3)batch [3,5)batch [5,9)gap:lost_with_disk");
  EXPECT_EQ(AllEntries(held).back().hash_before, before_damage);
  Open({{kSource, Offset(9)}});
  EXPECT_TRUE(node_->problems().empty());
}

TEST_F(LogRecovery, SeveralDamagedEntriesAtTheEnd) {
  EmbeddedLog& log = node_->Source();
  Fill(log, {3, 2, 4, 1, 6});
  for (int64_t at : {5, 9, 10}) FlipBit(log, Offset(at), kEntryHeaderSize + 16);  // the batch's format byte
  Open({{kSource, Offset(11)}});  // the end of 16 was acknowledged a moment ago
  ASSERT_EQ(node_->problems().size(), 1u);
  ASSERT_TRUE(Find().AcceptLoss(node_->problems()[0].acknowledged_end).ok());
  // How many records the last one had nobody knows: no batch has so many.
  constexpr int64_t kUnused = 10 + (1 << 20);
  const std::string lost = fmt::format("[0,3)batch [3,5)batch [5,{})gap:lost_with_disk", kUnused);
  EXPECT_EQ(Shape(AllEntries(Find())), lost);
  Fill(Find(), {1});
  Open({{kSource, Offset(kUnused + 1)}});
  EXPECT_TRUE(node_->problems().empty());
  EXPECT_EQ(Shape(AllEntries(Find())), fmt::format("{} [{},{})batch", lost, kUnused, kUnused + 1));
}

TEST_F(LogRecovery, TheOnlyEntryDamaged) {
  EmbeddedLog& log = node_->Source();
  Fill(log, {7});
  FlipBit(log, Offset(0), 3);
  Open({});
  ASSERT_EQ(node_->problems().size(), 1u);
  ASSERT_TRUE(Find().AcceptLoss(node_->problems()[0].acknowledged_end).ok());
  EXPECT_EQ(Shape(AllEntries(Find())), "[0,7)gap:lost_with_disk");
}

TEST_F(LogRecovery, ALossOfAllThatATrimLeftGoesOnFromTheHashAtTheStart) {
  EmbeddedLog& log = node_->Source();
  Fill(log, {3, 2, 4});
  const Entry first = AllEntries(log)[0];
  ASSERT_TRUE(log.Trim(Offset(3), std::nullopt, GapReason::kExpired).ok());
  for (int64_t at : {3, 5}) FlipBit(log, Offset(at), 20);
  Open({});
  ASSERT_EQ(node_->problems().size(), 1u);
  EXPECT_EQ(Find().state().position(), (LogPosition{IdOf(1), Offset(3), first.hash_after}));
  ASSERT_TRUE(Find().AcceptLoss(node_->problems()[0].acknowledged_end).ok());
  ASSERT_EQ(Shape(AllEntries(Find())), "[3,9)gap:lost_with_disk");
  EXPECT_EQ(AllEntries(Find())[0].hash_before, first.hash_after);
}

TEST_F(LogRecovery, EntriesThatVanishedBehindAKnownEndAreMissed) {
  EmbeddedLog& log = node_->Source();
  Fill(log, {3, 2, 4});
  ASSERT_TRUE(log.StartLeaderEpoch(LeaderEpoch(1)).ok());  // writes down the end
  auto batch = store_.NewBatch();
  batch->Delete(Family::kLog, LogKey(log.number(), Offset(5)));
  ASSERT_TRUE(store_.Write(*batch, true).ok());
  Open({});
  ASSERT_EQ(node_->problems().size(), 1u);
  EXPECT_EQ(ErrorKind(node_->problems()[0].what), "recovered_less_than_acknowledged");
  EXPECT_EQ(Find().state().end, Offset(5));
  EXPECT_EQ(node_->problems()[0].acknowledged_end, Offset(9));
}

TEST_F(LogRecovery, DamagedDocumentsRefuseToOpen) {
  EmbeddedLog& log = node_->Source();
  store_.Change(Family::kMeta, LogDocumentKey(log.number()), [](std::string& value) { value = "\xff\xff"; });
  EmbeddedLogStore logs(
      {store_, node_->committer(), clock_, node_->ages(), node_->cache(), node_->budget(), node_->fences()});
  EXPECT_EQ(KindOfError(logs.Open({})), "corrupt_meta");
}

TEST_F(LogRecovery, AReplicaInsideOfALossResumes) {
  EmbeddedLog& log = node_->Source();
  Fill(log, {3, 2});
  const LogPosition at{IdOf(1), Offset(9), ChainHash(4711)};  // the replica got entries that the source lost
  Open({{kSource, Offset(12)}});
  ASSERT_TRUE(Find().AcceptLoss(Offset(12)).ok());
  LogFlowSource flow(Find().shared_from_this(), {});
  EXPECT_TRUE(*flow.history()->Continues(ToFlowPosition(at)));
  auto rest = flow.Read(Offset(9), kAll);
  ASSERT_EQ(rest->size(), 1u);
  EXPECT_EQ(rest->front().from, Offset(9));
  EXPECT_EQ(rest->front().to, Offset(12));
  EXPECT_EQ(rest->front().hash_after, Find().state().hash);
}

}  // namespace
}  // namespace selvage
