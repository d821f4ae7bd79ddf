#include "fabric/stream/repair_flow.h"

#include "fabric/stream/log_flow.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/damaged_store.h"

namespace selvage {
namespace {

/// The worked example of repair_flow.h: one end holds [0,3) [3,5) [5,10) [10,11), and the other one cannot
/// read [3,10) of its copy.
class RepairFlowTest : public testing::Test {
 protected:
  RepairFlowTest() {
    for (int records : {3, 2, 5, 1}) EXPECT_TRUE(holder_.Append(held_, ProducedBatch(records)).ok());
    whole_ = AllEntries(held_);
    asker_.RaiseFence({"rig", SessionEpoch(1)});
    for (const Entry& entry : whole_) EXPECT_TRUE(asker_.AppendReplica(copy_, ToReplica(entry)).ok());
    asker_.cache().Forget(copy_.number());
    for (int64_t from : {3, 5}) damaged_.Damage(Family::kLog, LogKey(copy_.number(), Offset(from)));
  }
  LogDamage DamageAt(int64_t offset) {
    const auto damage = copy_.FindDamage(Offset(offset));
    EXPECT_TRUE(damage.ok() && *damage);
    return **damage;
  }
  static v1::RepairRequest RequestFor(const LogDamage& damage, uint64_t max_bytes) {
    v1::RepairRequest request;
    request.set_from(damage.from.value());
    request.set_to(damage.to.value());
    request.set_hash_before(damage.hash_before.value());
    request.set_has_hash_after(true);
    request.set_hash_after(damage.hash_after.value());
    request.set_max_bytes(max_bytes);
    return request;
  }
  /// Asks for what is damaged from `offset` on, and stores the piece that is offered: "[from,to)".
  std::string RepairPiece(int64_t offset, uint64_t max_bytes) {
    const LogDamage damage = DamageAt(offset);
    const auto source = RepairSource::Make(held_.shared_from_this(), 1, RequestFor(damage, max_bytes));
    if (!source.ok()) return ErrorKind(source.status());
    RepairSink sink(copy_.shared_from_this(), damage, (*source)->end(), kAll, {"rig", SessionEpoch(1)});
    const Offset from = Offset((*source)->Describe().start());
    EXPECT_EQ(sink.position().offset, from);
    auto entries = (*source)->Read(from, kAll);
    EXPECT_TRUE(entries.ok());
    for (FlowEntry& entry : *entries) {
      EXPECT_EQ(sink.Check(entry), absl::OkStatus());
      sink.Persist(std::move(entry), [&](const auto& durable) {
        ASSERT_TRUE(durable.ok()) << durable.status();
        (*source)->Acknowledged(*durable);
      });
    }
    asker_.CommitAll();
    EXPECT_TRUE(sink.stored() && (*source)->finished());
    return "[" + std::to_string(from.value()) + "," + std::to_string((*source)->end().value()) + ")";
  }

  FakeClock clock_;
  DamagedStore sound_;
  DamagedStore damaged_;
  LogNode holder_{sound_, clock_};
  LogNode asker_{damaged_, clock_};
  EmbeddedLog& held_ = holder_.Source();
  EmbeddedLog& copy_ = asker_.Replica();
  std::vector<Entry> whole_;
};

TEST_F(RepairFlowTest, APieceThatIsWholeTakesItsPlaceAndTheRestIsAskedForNext) {
  const LogDamage damage = DamageAt(4);
  EXPECT_EQ(damage.from, Offset(3));
  EXPECT_EQ(damage.to, Offset(10));
  EXPECT_EQ(damage.hash_before, whole_[1].hash_before);
  EXPECT_EQ(damage.hash_after, whole_[2].hash_after);
  EXPECT_EQ(RepairPiece(3, /*max_bytes=*/1), "[3,5)");
  const LogDamage rest = DamageAt(5);
  EXPECT_EQ(rest.from, Offset(5));
  EXPECT_EQ(rest.hash_before, whole_[1].hash_after);
  EXPECT_EQ(RepairPiece(5, /*max_bytes=*/1), "[5,10)");
  EXPECT_EQ(Shape(AllEntries(copy_)), Shape(whole_));
  EXPECT_EQ(copy_.state().position(), held_.state().position());
}

TEST_F(RepairFlowTest, WhatFitsComesInOnePiece) {
  EXPECT_EQ(RepairPiece(3, kAll), "[3,10)");
  EXPECT_EQ(Shape(AllEntries(copy_)), Shape(whole_));
}

// A fork gives a log another id. What the flow acknowledges stays in the history that it began with.
TEST_F(RepairFlowTest, ALogThatGetsAnotherIdMeanwhileIsRepairedAllTheSame) {
  const LogDamage damage = DamageAt(3);
  const auto source = RepairSource::Make(held_.shared_from_this(), 1, RequestFor(damage, kAll));
  ASSERT_TRUE(source.ok());
  RepairSink sink(copy_.shared_from_this(), damage, (*source)->end(), kAll, {"rig", SessionEpoch(1)});
  const std::string history = sink.position().history;
  ASSERT_TRUE(
      asker_.logs()
          .BranchAll({{copy_.shared_from_this(), IdOf(9), copy_.state().position()}}, [](WriteBatch&) {})
          .ok());
  auto entries = (*source)->Read(damage.from, kAll);
  ASSERT_TRUE(entries.ok());
  for (FlowEntry& entry : *entries) {
    ASSERT_EQ(sink.Check(entry), absl::OkStatus());
    sink.Persist(std::move(entry), [&](const auto& durable) {
      ASSERT_TRUE(durable.ok()) << durable.status();
      EXPECT_EQ(durable->history, history);
    });
  }
  asker_.CommitAll();
  EXPECT_TRUE(sink.stored());
  EXPECT_EQ(Shape(AllEntries(copy_)), Shape(whole_));
}

TEST_F(RepairFlowTest, AGapThatReachesIntoTheRangeIsNotGiven) {
  ASSERT_TRUE(held_.Trim(Offset(5), Offset(0), GapReason::kDroppedForSpace).ok());
  ASSERT_EQ(Shape(AllEntries(held_)), "[0,5)gap:dropped_for_space [5,10)batch [10,11)batch");
  EXPECT_EQ(RepairPiece(3, kAll), kRangeNotHeld);
}

TEST_F(RepairFlowTest, AnEntryThatDoesNotLeadToTheKnownHashIsRefused) {
  EmbeddedLog& other = holder_.Create(LogOrigin{"", Slot(0), "other", PartitionId(0)}, 2);
  for (int records : {3, 2, 5}) ASSERT_TRUE(holder_.Append(other, ProducedBatch(records, 10, 77)).ok());
  const LogDamage damage = DamageAt(3);
  RepairSink sink(copy_.shared_from_this(), damage, damage.to, kAll, {"rig", SessionEpoch(1)});
  const std::vector<Entry> others = AllEntries(other);
  EXPECT_EQ(sink.Check(ToReplica(others[1])), absl::OkStatus()) << "no hash at 5 is known to compare with";
  EXPECT_EQ(KindOfError(sink.Check(ToReplica(others[2]))), "chain_mismatch");
}

}  // namespace
}  // namespace selvage
