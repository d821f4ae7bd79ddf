#include "fabric/table/restamp.h"

#include <gmock/gmock.h>

#include "fabric/table/merge.h"
#include "fabric/table/operations.h"
#include "tests/support/row_samples.h"

namespace selvage::table {
namespace {

using samples::At;
using samples::Json;
using samples::Store;
using ::testing::ElementsAre;

constexpr int64_t kNow = 1'000'000'000;
constexpr int64_t kAhead = kNow + 86'400'000;
const Hlc kLimit = Hlc::AtMs(kNow + kWithdrawnAheadMs);
constexpr int kOwn = 1;

class RestampTest : public ::testing::Test {
 protected:
  /// Merges a write of this store, and says what it is to others.
  Change Do(Change change) {
    Merge(row_, change, {StoreId(), ++sequence_});
    return change;
  }
  Change Set(int64_t ms, const std::string& field, std::string_view json) {
    return Do(MakeUpdate(row_, {.set = {{field, Json(json)}}}, At(ms, kOwn), samples::Epoch(1)).value());
  }
  Change Increment(int64_t ms, const std::string& field, int64_t by) {
    return Do(
        MakeUpdate(row_, {.increment = {{field, JsonNumber(by)}}}, At(ms, kOwn), samples::Epoch(1)).value());
  }
  Change PutRow(int64_t ms, std::string_view json) {
    return Do(Put(row_, ParseFields(json).value(), std::nullopt, At(ms, kOwn)));
  }
  void RestampRow() {
    row_ = Restamp(
        row_, Store(kOwn), kLimit, [this] { return Hlc::AtMs(now_ms_++); }, ++sequence_);
  }
  /// What of the change is still kept apart once the row came.
  bool IsDropped(Change waiting) {
    DropWithdrawn(waiting, row_);
    return !waiting.clear && !waiting.expiry && waiting.fields.empty();
  }

  Row row_;
  uint64_t sequence_ = 0;
  int64_t now_ms_ = kNow;
};

TEST_F(RestampTest, NewStampsAreInTheOrderOfTheOldOnesAndNameThem) {
  PutRow(kNow - 10, R"({"a":1,"b":1})");
  Set(kAhead + 2, "b", "3");
  Set(kAhead + 1, "a", "2");
  EXPECT_EQ(FindAhead(row_, Store(kOwn), kLimit).own, 2u);
  RestampRow();
  EXPECT_EQ(FindAhead(row_, Store(kOwn), kLimit).own, 0u);
  const Write& a = row_.fields["a"].set->write;
  const Write& b = row_.fields["b"].set->write;
  EXPECT_EQ(a.stamp, At(kNow, kOwn));
  EXPECT_EQ(b.stamp, At(kNow + 1, kOwn));
  EXPECT_THAT(a.replaced, ElementsAre(At(kAhead + 1, kOwn)));
  EXPECT_THAT(b.replaced, ElementsAre(At(kAhead + 2, kOwn)));
  EXPECT_EQ(a.sequence, sequence_);
  EXPECT_EQ(row_.clear->write.stamp, At(kNow - 10, kOwn)) << "it was in time";
  EXPECT_EQ(row_.clear->write.sequence, 1u);
  EXPECT_EQ(VisibleJson(row_, kNow), R"({"a":2,"b":3})");
}

TEST_F(RestampTest, WhatOneOperationWroteKeepsOneStamp) {
  PutRow(kAhead, R"({"a":1,"b":2})");
  RestampRow();
  EXPECT_EQ(row_.clear->write.stamp, At(kNow, kOwn));
  EXPECT_EQ(row_.fields["a"].set->write.stamp, At(kNow, kOwn));
  EXPECT_EQ(VisibleJson(row_, kNow), R"({"a":1,"b":2})");
}

TEST_F(RestampTest, IncrementsCountOnWhatTheyCountedOn) {
  PutRow(kAhead, R"({"n":10})");
  Increment(kAhead + 1, "n", 5);
  const Change other =
      MakeUpdate(row_, {.increment = {{"n", JsonNumber(int64_t{7})}}}, At(kNow, 2), samples::Epoch(2))
          .value();
  Merge(row_, other, {Store(2), ++sequence_});
  RestampRow();
  EXPECT_EQ(VisibleJson(row_, kNow), R"({"n":22})");
  EXPECT_EQ(FindAhead(row_, Store(kOwn), kLimit).own, 0u);
}

TEST_F(RestampTest, WhatIsWithdrawnIsDropped) {
  const Change put = PutRow(kAhead, R"({"a":1})");
  const Change set = Set(kAhead + 1, "b", "1");
  const Change counted = Increment(kAhead + 2, "n", 1);
  EXPECT_FALSE(Withdraws(row_));
  RestampRow();
  EXPECT_TRUE(Withdraws(row_));
  EXPECT_TRUE(IsDropped(put));
  EXPECT_TRUE(IsDropped(set));
  EXPECT_TRUE(IsDropped(counted));
}

TEST_F(RestampTest, WhatCameAfterwardsOrFromOthersStaysApart) {
  Set(kAhead, "a", "1");
  RestampRow();
  Row before = row_;
  const Change later = Set(kAhead + 5, "a", "2");
  row_ = before;
  EXPECT_FALSE(IsDropped(later)) << "a later stamp was not withdrawn";
  Change other;
  other.fields["a"].set = Register{Json("9"), {At(kAhead - 1, 2)}};
  EXPECT_FALSE(IsDropped(other));
  Change field;
  field.fields["b"].set = Register{Json("9"), {At(kAhead - 1, kOwn)}};
  EXPECT_FALSE(IsDropped(field)) << "of another field nothing is known";
}

TEST_F(RestampTest, WhoReplacesAWriteThatWithdrawsSaysSo) {
  const Change set = Set(kAhead, "a", "1");
  const Change counted = Increment(kAhead + 1, "n", 1);
  RestampRow();
  Set(kNow + 10, "a", "2");
  Increment(kNow + 11, "n", 1);
  EXPECT_TRUE(IsDropped(set)) << "the store itself";
  EXPECT_TRUE(IsDropped(counted));
  const Change by_other =
      MakeUpdate(row_, {.set = {{"a", Json("3")}}}, At(kNow + 20, 2), samples::Epoch(2)).value();
  Change waiting = set;
  EXPECT_TRUE(DropWithdrawn(waiting, by_other)) << "another one";
  waiting = counted;
  EXPECT_TRUE(DropWithdrawn(waiting, Delete(row_, At(kNow + 20, 2)))) << "for the whole row";
  EXPECT_FALSE(
      Withdraws(MakeUpdate(row_, {.set = {{"a", Json("3")}}}, At(kAhead + 9, 2), samples::Epoch(2)).value()))
      << "once its time has come nothing waits any more";
}

TEST_F(RestampTest, StampsOfOthersThatAreAheadAreFound) {
  Set(kNow, "a", "1");
  EXPECT_FALSE(FindAhead(row_, Store(kOwn), kLimit).other);
  Change change;
  change.fields["b"].set = Register{Json("1"), {At(kAhead, 2)}};
  Merge(row_, change, {Store(2), ++sequence_});
  EXPECT_EQ(FindAhead(row_, Store(kOwn), kLimit).other, Store(2));
  EXPECT_EQ(FindAhead(row_, Store(2), kLimit).own, 1u);
}

}  // namespace
}  // namespace selvage::table
