#include "fabric/table/merge.h"

#include <gmock/gmock.h>

#include "fabric/base/error.h"
#include "fabric/table/operations.h"
#include "tests/support/row_samples.h"

namespace selvage::table {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

/// A node with one row, which numbers what changes.
class Node {
 public:
  explicit Node(int id) : id_(id) {}

  MergeResult Receive(const Change& change, const Node* from = nullptr) {
    const auto result = Merge(row_, change, {from ? samples::Store(from->id_) : StoreId(), next_sequence_++});
    conflicts_.insert(conflicts_.end(), result.conflicts.begin(), result.conflicts.end());
    return result;
  }
  Change Write(Change change) {
    Receive(change);
    return change;
  }
  Change DoPut(int64_t ms, std::string_view json, std::optional<int64_t> expires_at_ms = {}) {
    return Write(Put(row_, ParseFields(json).value(), expires_at_ms, samples::At(ms, id_)));
  }
  Change DoSet(int64_t ms, const std::string& field, std::string_view json) {
    return Write(
        MakeUpdate(row_, {.set = {{field, samples::Json(json)}}}, samples::At(ms, id_), epoch_).value());
  }
  Change DoUnset(int64_t ms, const std::string& field) {
    return Write(MakeUpdate(row_, {.unset = {field}}, samples::At(ms, id_), epoch_).value());
  }
  Change DoIncrement(int64_t ms, const std::string& field, const JsonNumber& by) {
    return Write(MakeUpdate(row_, {.increment = {{field, by}}}, samples::At(ms, id_), epoch_).value());
  }
  Change DoDelete(int64_t ms) { return Write(Delete(row_, samples::At(ms, id_))); }
  void Reopen(int epoch) { epoch_ = samples::Epoch(epoch); }

  std::string Seen(int64_t now_ms = 0) const { return VisibleJson(row_, now_ms).value_or("none"); }
  const Row& row() const { return row_; }
  const std::vector<Conflict>& conflicts() const { return conflicts_; }
  const FeedEpoch& epoch() const { return epoch_; }

 private:
  int id_;
  FeedEpoch epoch_ = samples::Epoch(0x40 + id_);
  Row row_;
  uint64_t next_sequence_ = 1;
  std::vector<Conflict> conflicts_;
};

class MergeTest : public ::testing::Test {
 protected:
  /// Both nodes send their row to the other.
  void Exchange(Node& a, Node& b) {
    const Row of_a = a.row();
    a.Receive(b.row(), &b);
    b.Receive(of_a, &a);
    EXPECT_EQ(a.Seen(), b.Seen());
    EXPECT_EQ(DigestOf(a.row(), 0), DigestOf(b.row(), 0));
  }

  Node edge_{1};
  Node core_{2};
  Node other_{3};
};

TEST_F(MergeTest, FieldsWrittenApartAreBothThere) {
  core_.Receive(edge_.DoPut(1, R"({"bar":7,"unit":"bar"})"), &edge_);
  edge_.DoSet(2, "bar", "9");
  core_.DoSet(3, "alarm", "true");
  Exchange(edge_, core_);
  EXPECT_EQ(edge_.Seen(), R"({"alarm":true,"bar":9,"unit":"bar"})");
  EXPECT_THAT(edge_.conflicts(), IsEmpty());
  EXPECT_THAT(core_.conflicts(), IsEmpty());
}

TEST_F(MergeTest, NewerWriteOfAFieldWinsAndTheOtherIsListedOnce) {
  core_.Receive(edge_.DoPut(1, R"({"bar":7})"), &edge_);
  edge_.DoSet(2, "bar", "8");
  core_.DoSet(3, "bar", "9");
  Exchange(edge_, core_);
  EXPECT_EQ(edge_.Seen(), R"({"bar":9})");
  // Each met the other's write, and neither had it from whoever sent the other.
  for (const Node* node : {&edge_, &core_}) {
    ASSERT_THAT(node->conflicts(), SizeIs(1));
    const Conflict& conflict = node->conflicts()[0];
    EXPECT_EQ(conflict.kind, ConflictKind::kOverwritten);
    EXPECT_EQ(conflict.field, "bar");
    EXPECT_EQ(conflict.winner, samples::At(3, 2));
    EXPECT_EQ(conflict.winning_value, samples::Json("9"));
    EXPECT_EQ(conflict.loser, samples::At(2, 1));
    EXPECT_EQ(conflict.losing_value, samples::Json("8"));
  }
  Exchange(edge_, core_);
  EXPECT_THAT(edge_.conflicts(), SizeIs(1));
}

TEST_F(MergeTest, ReplacingWhatOneSawIsNoConflict) {
  core_.Receive(edge_.DoPut(1, R"({"bar":7})"), &edge_);
  for (int64_t ms = 2; ms < 6; ++ms) core_.DoSet(ms, "bar", std::to_string(ms));
  edge_.Receive(core_.row(), &core_);
  edge_.DoSet(7, "bar", "70");
  edge_.DoSet(8, "bar", "80");
  core_.Receive(edge_.row(), &edge_);
  core_.DoPut(9, R"({"bar":90})");
  edge_.Receive(core_.row(), &core_);
  edge_.DoDelete(10);
  core_.Receive(edge_.row(), &edge_);
  EXPECT_EQ(core_.Seen(), "none");
  EXPECT_THAT(edge_.conflicts(), IsEmpty());
  EXPECT_THAT(core_.conflicts(), IsEmpty());
}

TEST_F(MergeTest, EqualValuesWrittenApartAreNoConflict) {
  edge_.DoSet(1, "on", "true");
  core_.DoSet(2, "on", "true");
  Exchange(edge_, core_);
  EXPECT_THAT(core_.conflicts(), IsEmpty());
  EXPECT_THAT(edge_.conflicts(), IsEmpty());
}

TEST_F(MergeTest, LongOfflineWriteThatLosesIsListed) {
  core_.Receive(edge_.DoPut(1, R"({"bar":7})"), &edge_);
  other_.Receive(core_.row(), &core_);
  edge_.DoSet(2, "bar", "20");  // offline from here on
  core_.DoSet(3, "bar", "30");
  other_.Receive(core_.row(), &core_);
  core_.Receive(other_.DoSet(4, "bar", "40"), &other_);
  EXPECT_THAT(core_.conflicts(), IsEmpty());
  core_.Receive(edge_.row(), &edge_);
  ASSERT_THAT(core_.conflicts(), SizeIs(1));
  EXPECT_EQ(core_.conflicts()[0].losing_value, samples::Json("20"));
}

TEST_F(MergeTest, OutcomesAreNamed) {
  const Change first = edge_.DoSet(1, "a", "1");
  const Change second = edge_.DoSet(2, "a", "2");
  EXPECT_EQ(core_.Receive(second, &edge_).outcome, MergeOutcome::kApplied);
  EXPECT_EQ(core_.Receive(second, &edge_).outcome, MergeOutcome::kIdentical);
  const auto late = core_.Receive(first, &edge_);
  EXPECT_EQ(late.outcome, MergeOutcome::kKeptNewer);
  EXPECT_THAT(late.conflicts, IsEmpty()) << "a node has seen what it wrote";
  EXPECT_EQ(MergeOutcomeName(MergeOutcome::kApplied), "applied");
  EXPECT_EQ(MergeOutcomeName(MergeOutcome::kKeptNewer), "kept_newer");
  EXPECT_EQ(MergeOutcomeName(MergeOutcome::kIdentical), "identical");
}

TEST_F(MergeTest, WhatOneChangeBringsHasOneSequenceAndItsPeer) {
  core_.DoSet(1, "z", "0");
  const auto result = core_.Receive(edge_.DoPut(2, R"({"a":1,"b":2})", 500), &edge_);
  EXPECT_EQ(result.outcome, MergeOutcome::kApplied);
  const Row& row = core_.row();
  EXPECT_EQ(row.clear->write.sequence, 2u);
  EXPECT_EQ(row.expiry->write.sequence, 2u);
  EXPECT_EQ(row.fields.at("a").set->write.sequence, 2u);
  EXPECT_EQ(row.fields.at("b").set->write.sequence, 2u);
  EXPECT_EQ(row.fields.at("b").set->write.via, samples::Store(1));
  core_.Receive(edge_.row(), &other_);
  EXPECT_EQ(row.fields.at("b").set->write.via, samples::Store(1)) << "what was here keeps its way";
}

TEST_F(MergeTest, DeleteDoesNotComeBack) {
  const Change put = edge_.DoPut(1, R"({"a":1})");
  core_.Receive(put, &edge_);
  core_.Receive(edge_.DoDelete(2), &edge_);
  EXPECT_EQ(core_.Receive(put, &other_).outcome, MergeOutcome::kKeptNewer);
  EXPECT_EQ(core_.Seen(), "none");
  EXPECT_TRUE(DigestOf(core_.row(), 0).none());
}

TEST_F(MergeTest, UpdateOutlivesAConcurrentDeleteAlone) {
  core_.Receive(edge_.DoPut(1, R"({"bar":7,"unit":"bar"})"), &edge_);
  core_.DoDelete(2);
  edge_.DoSet(3, "bar", "9");
  Exchange(edge_, core_);
  EXPECT_EQ(core_.Seen(), R"({"bar":9})");
  for (const Node* node : {&edge_, &core_}) {
    ASSERT_THAT(node->conflicts(), SizeIs(1));
    EXPECT_EQ(node->conflicts()[0].kind, ConflictKind::kOutlivesDelete);
    EXPECT_EQ(node->conflicts()[0].field, "bar");
    EXPECT_EQ(node->conflicts()[0].winner, samples::At(3, 1));
    EXPECT_EQ(node->conflicts()[0].loser, samples::At(2, 2));
  }
}

TEST_F(MergeTest, UpdateAfterADeleteThatWasSeenIsNoConflict) {
  core_.Receive(edge_.DoPut(1, R"({"bar":7})"), &edge_);
  edge_.Receive(core_.DoDelete(2), &core_);
  core_.Receive(edge_.DoSet(3, "bar", "9"), &edge_);
  EXPECT_EQ(core_.Seen(), R"({"bar":9})");
  EXPECT_THAT(core_.conflicts(), IsEmpty());
}

TEST_F(MergeTest, OlderUpdateIsRemovedByADeleteAndListed) {
  core_.Receive(edge_.DoPut(1, R"({"bar":7})"), &edge_);
  edge_.DoSet(2, "bar", "9");
  core_.DoDelete(3);
  Exchange(edge_, core_);
  EXPECT_EQ(core_.Seen(), "none");
  for (const Node* node : {&edge_, &core_}) {
    ASSERT_THAT(node->conflicts(), SizeIs(1));
    EXPECT_EQ(node->conflicts()[0].kind, ConflictKind::kCleared);
    EXPECT_EQ(node->conflicts()[0].losing_value, samples::Json("9"));
  }
}

TEST_F(MergeTest, PutReplacesTheWholeRow) {
  edge_.DoPut(1, R"({"a":1,"b":2})", 1'000);
  edge_.DoPut(2, R"({"b":3})");
  EXPECT_EQ(edge_.Seen(), R"({"b":3})");
  EXPECT_FALSE(edge_.row().expiry) << "and its expiry";
  edge_.DoPut(3, "{}");
  EXPECT_EQ(edge_.Seen(), "{}") << "an empty row is there";
  edge_.DoUnset(4, "b");
  EXPECT_EQ(edge_.Seen(), "{}");
  edge_.DoDelete(5);
  EXPECT_EQ(edge_.Seen(), "none");
}

TEST_F(MergeTest, RowOfUpdatesAloneIsThereWhileItHasAField) {
  edge_.DoSet(1, "a", "1");
  EXPECT_EQ(edge_.Seen(), R"({"a":1})");
  edge_.DoUnset(2, "a");
  EXPECT_EQ(edge_.Seen(), "none");
}

TEST_F(MergeTest, ClonesWithOneStampConvergeAndAreListed) {
  Node clone(1);
  edge_.DoSet(1, "a", "1");
  clone.DoSet(1, "a", "2");
  Exchange(edge_, clone);
  EXPECT_EQ(edge_.Seen(), R"({"a":2})") << "the greater bytes";
  EXPECT_THAT(edge_.conflicts(), SizeIs(1));
}

TEST_F(MergeTest, PutAndDeleteOfClonesWithOneStampConverge) {
  Node clone(1);
  edge_.DoPut(1, R"({"a":1})");
  clone.DoDelete(1);
  Exchange(edge_, clone);
  EXPECT_EQ(clone.Seen(), R"({"a":1})");
}

TEST_F(MergeTest, IncrementsApartAddUp) {
  core_.Receive(edge_.DoPut(1, R"({"n":100})"), &edge_);
  edge_.DoIncrement(2, "n", int64_t{5});
  edge_.DoIncrement(3, "n", int64_t{5});
  core_.DoIncrement(4, "n", int64_t{-1});
  Exchange(edge_, core_);
  EXPECT_EQ(core_.Seen(), R"({"n":109})");
  Exchange(edge_, core_);
  EXPECT_EQ(core_.Seen(), R"({"n":109})");
  EXPECT_THAT(core_.conflicts(), IsEmpty());
}

TEST_F(MergeTest, FieldThatIsNotThereCountsFromZero) {
  edge_.DoIncrement(1, "n", int64_t{2});
  core_.DoIncrement(1, "n", int64_t{3});
  Exchange(edge_, core_);
  EXPECT_EQ(core_.Seen(), R"({"n":5})");
  core_.DoUnset(2, "n");
  EXPECT_EQ(core_.Seen(), "none");
  core_.DoIncrement(3, "n", 0.5);
  EXPECT_EQ(core_.Seen(), R"({"n":0.5})");
  core_.DoDelete(4);
  core_.DoIncrement(5, "n", int64_t{1});
  EXPECT_EQ(core_.Seen(), R"({"n":1})");
}

TEST_F(MergeTest, ResetDropsWhatItDidNotSeeAndListsIt) {
  core_.Receive(edge_.DoIncrement(1, "n", int64_t{5}), &edge_);
  edge_.DoIncrement(2, "n", int64_t{2});
  core_.DoSet(3, "n", "0");  // saw 5, not 7
  edge_.DoIncrement(4, "n", int64_t{1});
  Exchange(edge_, core_);
  EXPECT_EQ(core_.Seen(), R"({"n":0})") << "also the increment after the reset counts on what was before it";
  ASSERT_THAT(core_.conflicts(), SizeIs(1));
  EXPECT_EQ(core_.conflicts()[0].kind, ConflictKind::kUncounted);
  EXPECT_EQ(core_.conflicts()[0].losing_value, samples::Json("8"));
  EXPECT_EQ(core_.conflicts()[0].winning_value, samples::Json("0"));
  edge_.DoIncrement(5, "n", int64_t{3});
  Exchange(edge_, core_);
  EXPECT_EQ(core_.Seen(), R"({"n":3})");
}

TEST_F(MergeTest, ResetOfWhatItSawIsNoConflict) {
  core_.Receive(edge_.DoIncrement(1, "n", int64_t{5}), &edge_);
  core_.DoSet(2, "n", "0");
  edge_.Receive(core_.row(), &core_);
  EXPECT_EQ(edge_.Seen(), R"({"n":0})");
  EXPECT_THAT(edge_.conflicts(), IsEmpty());
}

TEST_F(MergeTest, ContributionsWaitForTheirBase) {
  const Change set = edge_.DoSet(1, "n", "10");
  const Change more = edge_.DoIncrement(2, "n", int64_t{5});
  core_.Receive(more, &edge_);
  EXPECT_EQ(core_.Seen(), "none");
  core_.Receive(set, &edge_);
  EXPECT_EQ(core_.Seen(), R"({"n":15})");
}

TEST_F(MergeTest, RestoredStoreCountsInAnotherEpoch) {
  const Change base = edge_.DoPut(1, R"({"n":0})");
  core_.Receive(base, &edge_);
  core_.Receive(edge_.DoIncrement(2, "n", int64_t{5}), &edge_);
  Node restored(1);  // from a backup before the increment
  restored.Write(base);
  restored.Reopen(0x77);
  core_.Receive(restored.DoIncrement(2, "n", int64_t{2}), &restored);
  EXPECT_EQ(core_.Seen(), R"({"n":7})");
}

TEST_F(MergeTest, OperationsThatAreRefused) {
  edge_.DoPut(1, R"({"n":1,"s":"x"})");
  const auto refused = [&](const Update& update) {
    return ErrorKind(MakeUpdate(edge_.row(), update, samples::At(2, 1), edge_.epoch()).status());
  };
  EXPECT_EQ(refused({.increment = {{"s", int64_t{1}}}}), "not_a_number");
  EXPECT_EQ(refused({.set = {{"a", samples::Json("1")}}, .unset = {"a"}}), "field_named_twice");
  EXPECT_EQ(refused({.set = {{"a", samples::Json("1")}}, .increment = {{"a", int64_t{1}}}}),
            "field_named_twice");
  EXPECT_EQ(refused({.unset = {"a"}, .increment = {{"a", int64_t{1}}}}), "field_named_twice");
  edge_.DoIncrement(2, "n", INT64_MAX);
  EXPECT_EQ(refused({.increment = {{"n", int64_t{1}}}}), "counter_out_of_range");
  EXPECT_EQ(edge_.Seen(), R"({"n":9223372036854775808,"s":"x"})");
}

TEST_F(MergeTest, ExpiryTravelsWithEveryChange) {
  edge_.DoPut(1, R"({"a":1})", 1'000);
  core_.Receive(edge_.DoSet(2, "b", "2"), &edge_);
  EXPECT_EQ(core_.Seen(999), R"({"b":2})");
  EXPECT_EQ(core_.Seen(1'000), "none");
  core_.Write(MakeUpdate(core_.row(), {.expiry = Update::NewExpiry{5'000}}, samples::At(3, 2), core_.epoch())
                  .value());
  Exchange(edge_, core_);
  EXPECT_EQ(edge_.Seen(4'999), R"({"a":1,"b":2})");
  EXPECT_TRUE(DigestOf(edge_.row(), 5'000).none());
  edge_.Write(
      MakeUpdate(edge_.row(), {.expiry = Update::NewExpiry{}}, samples::At(4, 1), edge_.epoch()).value());
  Exchange(edge_, core_);
  EXPECT_EQ(core_.Seen(INT64_MAX), R"({"a":1,"b":2})");
}

TEST_F(MergeTest, DigestFollowsWhatIsSeenAndItsStamps) {
  edge_.DoSet(1, "a", "1");
  const RowDigest first = DigestOf(edge_.row(), 0);
  edge_.DoSet(2, "a", "1");
  const RowDigest again = DigestOf(edge_.row(), 0);
  EXPECT_NE(first, again) << "written again";
  edge_.DoUnset(3, "b");
  EXPECT_EQ(DigestOf(edge_.row(), 0), again) << "nothing that is seen";
  edge_.DoIncrement(4, "a", int64_t{1});
  EXPECT_NE(DigestOf(edge_.row(), 0), again);
}

}  // namespace
}  // namespace selvage::table
