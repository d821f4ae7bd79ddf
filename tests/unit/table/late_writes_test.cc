#include "fabric/table/late_writes.h"

#include <gtest/gtest.h>

#include "fabric/table/operations.h"
#include "tests/support/row_samples.h"

namespace selvage::table {
namespace {

Register Set(int64_t ms, std::optional<CanonicalJson> value) {
  return {std::move(value), {samples::At(ms, 2), {}, 0, {}}};
}

TEST(LateWritesTest, PartsUpToTheTimeAreLateAndOthersAreNot) {
  Change change;
  change.fields["old"].set = Set(10, samples::Json("1"));
  change.fields["new"].set = Set(11, samples::Json("2"));
  change.expiry = Expiry{99, {samples::At(12, 2), {}, 0, {}}};
  const LateWrites parts = SplitLate(change, Hlc::AtMs(10));
  ASSERT_EQ(parts.late.size(), 1u);
  EXPECT_EQ(parts.late[0].kind, ConflictKind::kLate);
  EXPECT_EQ(parts.late[0].field, "old");
  EXPECT_EQ(parts.late[0].losing_value->text(), "1");
  EXPECT_EQ(parts.late[0].loser, samples::At(10, 2));
  EXPECT_FALSE(parts.rest.fields.contains("old"));
  EXPECT_TRUE(parts.rest.fields.contains("new"));
  EXPECT_TRUE(parts.rest.expiry);
}

TEST(LateWritesTest, ADeleteThatIsLateIsNoLoss) {
  const LateWrites parts = SplitLate(Delete({}, samples::At(10, 2)), Hlc::AtMs(10));
  EXPECT_TRUE(parts.late.empty());
  EXPECT_FALSE(HasParts(parts.rest));
}

TEST(LateWritesTest, IncrementsAreListedWithTheirAmount) {
  Change change;
  change.fields["n"].contributions[{{samples::Store(2), samples::Epoch(1)}, {}}] = {
      int64_t{5}, {samples::At(3, 2), {}, 0, {}}};
  const LateWrites parts = SplitLate(change, Hlc::AtMs(10));
  ASSERT_EQ(parts.late.size(), 1u);
  EXPECT_EQ(parts.late[0].losing_value->text(), "5");
  EXPECT_FALSE(HasParts(parts.rest));
}

TEST(LateWritesTest, ATombstoneIsAsNewAsItsNewestPart) {
  Row row = Delete({}, samples::At(10, 2));
  EXPECT_EQ(TimeOfTombstone(row, true), Hlc::AtMs(10));
  row.expiry = Expiry{50, {samples::At(11, 2), {}, 0, {}}};
  EXPECT_EQ(TimeOfTombstone(row, true), Hlc::AtMs(50)) << "an expiry takes what was written before its time";
  EXPECT_EQ(TimeOfTombstone(row, false), Hlc::AtMs(11)) << "all have sent what it takes";
}

}  // namespace
}  // namespace selvage::table
