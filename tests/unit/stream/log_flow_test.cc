#include "fabric/stream/log_flow.h"

#include "fabric/storage/memory_store.h"
#include "tests/contract/log/log_node.h"

namespace selvage {
namespace {

const Fence kFence{"rig", SessionEpoch(1)};

class LogFlow : public ::testing::Test {
 protected:
  void Fill(std::initializer_list<int> batches) {
    for (int records : batches) ASSERT_TRUE(node_.Append(log_, ProducedBatch(records)).ok());
  }
  uint64_t BodyBytes(size_t entry) { return AllEntries(log_)[entry].body.size(); }

  MemoryStore store_;
  FakeClock clock_;
  LogNode node_{store_, clock_};
  EmbeddedLog& log_ = node_.Source();
};

TEST_F(LogFlow, DescribesTheLog) {
  Fill({3});
  ASSERT_TRUE(log_.StartLeaderEpoch(LeaderEpoch(2)).ok());
  v1::StreamDefinition definition;
  definition.set_name("sensors");
  definition.mutable_settings()->set_priority(4);
  LogFlowSource flow(log_.shared_from_this(), definition);
  const v1::FlowOpen open = flow.Describe();
  EXPECT_EQ(open.stream().name(), "sensors");
  EXPECT_EQ(open.history(), IdOf(1).bytes());
  EXPECT_EQ(open.end(), 3);
  EXPECT_EQ(open.stream().leader_epochs_size(), 2);
  EXPECT_EQ(open.stream().definition().settings().priority(), 4u);
  EXPECT_EQ(flow.settings().priority, 4u);
  EXPECT_EQ(flow.settings().weight, 1u);
  definition.mutable_settings()->set_priority(8);
  definition.mutable_settings()->set_link_compression(v1::NONE);
  flow.set_definition(definition);
  EXPECT_EQ(flow.settings().priority, 8u);
  EXPECT_FALSE(flow.settings().compress);
}

TEST_F(LogFlow, TellsWhatIsNotAcknowledgedInBytes) {
  Fill({3, 2, 5});
  LogFlowSource flow(log_.shared_from_this(), {});
  const uint64_t all = log_.state().log_bytes;
  EXPECT_EQ(flow.lag_bytes(), all) << "nothing is known of the replica";
  const std::vector<Entry> entries = AllEntries(log_);
  flow.Describe();
  flow.Acknowledged({IdOf(1).bytes(), Offset(3), entries[0].hash_after, {}});  // where the replica stands
  EXPECT_EQ(flow.lag_bytes(), all - BodyBytes(0));
  EXPECT_EQ(flow.acknowledged_bytes(), 0u) << "it was not sent just now";
  ASSERT_TRUE(flow.Read(Offset(3), kAll).ok());
  flow.Acknowledged({IdOf(1).bytes(), Offset(5), entries[1].hash_after, {}});
  EXPECT_EQ(flow.lag_bytes(), BodyBytes(2));
  EXPECT_EQ(flow.acknowledged_bytes(), BodyBytes(1));
  flow.Acknowledged({IdOf(1).bytes(), Offset(10), entries[2].hash_after, {}});
  EXPECT_EQ(flow.lag_bytes(), 0u);
  EXPECT_EQ(flow.acknowledged_bytes(), BodyBytes(1) + BodyBytes(2));
  EXPECT_EQ(log_.acknowledged(), Offset(10));
  ASSERT_TRUE(node_.Append(log_, ProducedBatch(1)).ok());
  EXPECT_EQ(flow.lag_bytes(), log_.state().log_bytes - all);
  // The core was restored from a backup: it stands further back.
  flow.Describe();
  flow.Acknowledged({IdOf(1).bytes(), Offset(0), ChainHash(0), {}});
  EXPECT_EQ(flow.lag_bytes(), log_.state().log_bytes);
  EXPECT_EQ(log_.acknowledged(), Offset(0));
}

TEST_F(LogFlow, LagIsKnownAfterARestart) {
  Fill({3, 2});
  log_.SetAcknowledged(Offset(3));
  EXPECT_EQ(LogFlowSource(log_.shared_from_this(), {}).lag_bytes(), BodyBytes(1));
  ASSERT_TRUE(log_.Trim(Offset(5), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(LogFlowSource(log_.shared_from_this(), {}).lag_bytes(), 0u);
}

TEST_F(LogFlow, OnlyUncompressedBatchesAreWorthCompressing) {
  Fill({1});
  BatchBuilder builder(Codec::kZstd);
  builder.Add({Offset(0), 1, std::nullopt, "value", {}});
  ASSERT_TRUE(node_.Append(log_, builder.Build()).ok());
  ASSERT_TRUE(node_.AppendGap(log_, Offset(9)).ok());
  LogFlowSource flow(log_.shared_from_this(), {});
  flow.Describe();
  auto entries = flow.Read(Offset(0), kAll);
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_TRUE((*entries)[0].compressible);
  EXPECT_FALSE((*entries)[1].compressible);
  EXPECT_FALSE((*entries)[2].compressible);
}

TEST_F(LogFlow, SinkChecksWhatArrives) {
  struct Received {
    EntryKind kind;
    Offset from, to;
    std::string body;
  };
  Fill({3});
  ASSERT_TRUE(node_.AppendGap(log_, Offset(9)).ok());
  const std::vector<Entry> entries = AllEntries(log_);
  LogFlowSink sink(log_.shared_from_this(), 1000, kFence);
  auto check = [&](const Entry& entry, auto change) {
    Received received{entry.kind, entry.from, entry.to, std::string(entry.body.view())};
    change(received);
    return KindOfError(sink.Check({received.kind, received.from, received.to, Bytes(received.body)}));
  };
  EXPECT_EQ(check(entries[0], [](Received&) {}), "");
  EXPECT_EQ(check(entries[0], [](Received& r) { r.body.back() ^= 1; }), "corrupt_batch");
  EXPECT_EQ(check(entries[0], [](Received& r) { r.body.pop_back(); }), "corrupt_batch");
  EXPECT_EQ(check(entries[0], [](Received& r) { r.to = r.to + 1; }), "corrupt_batch");
  EXPECT_EQ(check(entries[0], [](Received& r) { r.body = ProducedBatch(1, 2000); }), "batch_too_large");
  EXPECT_EQ(check(entries[0], [](Received& r) { r.kind = static_cast<EntryKind>(7); }), "unknown_encoding");
  EXPECT_EQ(check(entries[1], [](Received&) {}), "");
  EXPECT_EQ(check(entries[1], [](Received& r) { r.from = r.from + 1; }), "corrupt_gap");
  EXPECT_EQ(check(entries[1], [](Received& r) { r.body.clear(); }), "corrupt_gap");
}

TEST_F(LogFlow, HistoryKnowsHashesAtBoundariesOnly) {
  Fill({3, 2});
  LogHistory sink(log_.shared_from_this());
  EXPECT_EQ(sink.Locate(Offset(3)).hash, AllEntries(log_)[0].hash_after);
  EXPECT_EQ(sink.Locate(Offset(5)).hash, log_.state().hash);
  const replication::Located inside = sink.Locate(Offset(4));
  EXPECT_EQ(inside.hash, std::nullopt);
  EXPECT_EQ(inside.previous, Offset(3));
  EXPECT_EQ(inside.next, Offset(5));
  EXPECT_TRUE(inside.in_batch);
  const replication::Located behind = sink.Locate(Offset(6));
  EXPECT_EQ(behind.hash, std::nullopt);
  EXPECT_EQ(behind.previous, Offset(5));
  EXPECT_FALSE(behind.in_batch);
}

}  // namespace
}  // namespace selvage
