#include "fabric/table/feed_times.h"

#include <gtest/gtest.h>

namespace selvage::table {
namespace {

TEST(FeedTimesTest, ATimeIsThatOfTheNoteBeforeIt) {
  FeedTimes times;
  EXPECT_EQ(times.ReachedBy(1'000'000), 0u) << "nothing was noted";
  times.Add({100, 70});
  times.Add({200, 90});
  EXPECT_EQ(times.ReachedBy(99), 0u);
  EXPECT_EQ(times.ReachedBy(100), 70u);
  EXPECT_EQ(times.ReachedBy(199), 70u);
  EXPECT_EQ(times.ReachedBy(200), 90u);
  EXPECT_EQ(times.ReachedBy(1'000'000), 90u);
}

TEST(FeedTimesTest, AClockThatWasAheadIsForgotten) {
  FeedTimes times;
  times.Add({100, 50});
  times.Add({1'000'000, 70});
  times.Add({150, 80});
  EXPECT_EQ(times.ReachedBy(149), 50u);
  EXPECT_EQ(times.ReachedBy(150), 80u) << "time goes on at once";
  times.Add({250, 60});
  EXPECT_EQ(times.ReachedBy(250), 80u) << "a feed never goes back";
}

TEST(FeedTimesTest, OldNotesAreThinnedOutAndNeverSayTooMuch) {
  FeedTimes times;
  for (int64_t n = 1; n <= 100'000; ++n) times.Add({n * 10, static_cast<uint64_t>(n)});
  EXPECT_LE(times.notes().size(), FeedTimes::kKept);
  for (int64_t at_ms = 1; at_ms <= 1'000'000; at_ms += 777) {
    EXPECT_LE(times.ReachedBy(at_ms), static_cast<uint64_t>(at_ms / 10));
  }
  EXPECT_EQ(times.ReachedBy(1'000'000), 100'000u);
  EXPECT_GT(times.ReachedBy(500'000), 0u);
}

TEST(FeedTimesTest, WhatIsStoredOutOfOrderIsLeftOut) {
  const FeedTimes times({{100, 5}, {50, 9}, {200, 7}});
  EXPECT_EQ(times.notes().size(), 1u);
}

}  // namespace
}  // namespace selvage::table
