#include "fabric/replication/send_credit.h"

#include <gtest/gtest.h>

namespace selvage::replication {
namespace {

constexpr SendCredit::Flow kLow{FlowNumber(1), 1};
constexpr SendCredit::Flow kLow2{FlowNumber(2), 1};
constexpr SendCredit::Flow kHigh{FlowNumber(3), 9};

TEST(SendCredit, EntryLargerThanTheWindowPassesAlone) {
  SendCredit credit;
  credit.Open(100);
  EXPECT_TRUE(credit.MayBegin(kHigh, 1000, 9));
  credit.Begin(kHigh, 1000);
  EXPECT_FALSE(credit.MayBegin(kHigh, 1, 9));
  EXPECT_TRUE(credit.Raise(1100));
  EXPECT_TRUE(credit.MayBegin(kHigh, 1, 9));
}

TEST(SendCredit, WindowOfZeroLetsOneEntryPassAtATime) {
  SendCredit credit;
  credit.Open(0);
  EXPECT_TRUE(credit.MayBegin(kLow, 10, 9));
  credit.Begin(kLow, 10);
  EXPECT_FALSE(credit.MayBegin(kHigh, 1, 9));
  EXPECT_TRUE(credit.Raise(10));
  EXPECT_TRUE(credit.MayBegin(kHigh, 1, 9));
}

TEST(SendCredit, LowerPrioritiesLeaveAQuarter) {
  SendCredit credit;
  credit.Open(100);
  credit.Begin(kLow, 50);
  EXPECT_TRUE(credit.MayBegin(kLow, 25, 9));
  EXPECT_FALSE(credit.MayBegin(kLow, 26, 9));
  EXPECT_TRUE(credit.MayBegin(kLow, 50, 1));  // nobody is higher
  EXPECT_TRUE(credit.MayBegin(kHigh, 50, 9));
}

TEST(SendCredit, RefusesCreditForWhatWasNeverSent) {
  SendCredit credit;
  credit.Open(100);
  EXPECT_TRUE(credit.Raise(50));  // an older one says nothing
  EXPECT_FALSE(credit.Raise(101));
  credit.Begin(kLow, 30);
  EXPECT_TRUE(credit.Raise(130));
  EXPECT_FALSE(credit.Raise(131));
  EXPECT_FALSE(credit.Raise(UINT64_MAX));
  EXPECT_TRUE(credit.MayBegin(kHigh, 100, 9));
}

TEST(SendCredit, ClaimStopsOthersOfTheSamePriority) {
  SendCredit credit;
  credit.Open(100);
  credit.Begin(kLow2, 60);
  ASSERT_FALSE(credit.MayBegin(kLow, 90, 1));
  credit.Claim(kLow, false);
  EXPECT_FALSE(credit.MayBegin(kLow2, 1, 1));
  EXPECT_TRUE(credit.MayBegin(kHigh, 40, 9));
  credit.Raise(160);
  EXPECT_TRUE(credit.Begin(kLow, 90));
  EXPECT_TRUE(credit.MayBegin(kLow2, 10, 1));
}

TEST(SendCredit, HigherPriorityTakesTheClaimOver) {
  SendCredit credit;
  credit.Open(100);
  credit.Begin(kLow2, 60);
  credit.Claim(kLow, false);
  credit.Claim(kHigh, false);
  credit.Raise(110);
  EXPECT_FALSE(credit.MayBegin(kLow, 1, 9));
  EXPECT_TRUE(credit.Begin(kHigh, 50));
  EXPECT_TRUE(credit.MayOvertake(kLow, 1));
}

TEST(SendCredit, ClaimByTurnIsOvertakenByAQuarterAtMost) {
  SendCredit credit;
  credit.Open(100);
  credit.Begin(kLow2, 60);
  credit.Claim(kLow, true);
  credit.Claim(kHigh, false);
  EXPECT_TRUE(credit.MayBegin(kHigh, 20, 9));
  EXPECT_FALSE(credit.Begin(kHigh, 20));
  EXPECT_TRUE(credit.MayBegin(kHigh, 5, 9));
  EXPECT_FALSE(credit.MayBegin(kHigh, 6, 9));
  credit.Forget(kLow.number);
  EXPECT_TRUE(credit.MayBegin(kHigh, 6, 9));
}

}  // namespace
}  // namespace selvage::replication
