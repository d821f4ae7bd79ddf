#include "fabric/table/hlc.h"

#include <gtest/gtest.h>

namespace selvage::table {
namespace {

constexpr HlcClock::Limits kLimits{.max_ahead_ms = 60'000, .floor_ahead_ms = 3'000};

TEST(HlcTest, PacksMillisecondsAndCounter) {
  const Hlc time((uint64_t{1'700'000'000'123} << 16) | 7);
  EXPECT_EQ(time.ms(), 1'700'000'000'123);
  EXPECT_EQ(time.counter(), 7u);
  EXPECT_EQ(Hlc::AtMs(5).packed(), 0x50000u);
  EXPECT_EQ(Hlc::AtMs(-1), Hlc());
  EXPECT_EQ(Hlc::AtMs(INT64_MAX).ms(), Hlc::kMaxMs);
}

TEST(HlcTest, FollowsTheWallClock) {
  HlcClock clock(Hlc(), kLimits);
  EXPECT_EQ(clock.Tick(1'000), Hlc::AtMs(1'000));
  EXPECT_EQ(clock.Tick(1'001), Hlc::AtMs(1'001));
}

TEST(HlcTest, CountsWhileTheWallClockStandsOrRunsBack) {
  HlcClock clock(Hlc(), kLimits);
  const Hlc first = clock.Tick(1'000);
  EXPECT_EQ(clock.Tick(1'000).packed(), first.packed() + 1);
  EXPECT_EQ(clock.Tick(400).packed(), first.packed() + 2);
  EXPECT_EQ(clock.Tick(-5).packed(), first.packed() + 3);
}

TEST(HlcTest, CounterThatIsUsedUpGoesIntoTheNextMillisecond) {
  HlcClock clock(Hlc(), kLimits);
  Hlc last = clock.Tick(1'000);
  for (int i = 0; i < 70'000; ++i) {
    const Hlc next = clock.Tick(1'000);
    ASSERT_LT(last, next);
    last = next;
  }
  EXPECT_EQ(last.ms(), 1'001);
}

TEST(HlcTest, StampsAfterWhatItHasSeen) {
  HlcClock clock(Hlc(), kLimits);
  const Hlc seen = Hlc::AtMs(50'000);
  EXPECT_TRUE(clock.Observe(seen, 1'000));
  EXPECT_EQ(clock.Tick(1'000).packed(), seen.packed() + 1);
  EXPECT_TRUE(clock.Observe(Hlc::AtMs(10), 1'000));  // the past is never too far
  EXPECT_EQ(clock.Tick(1'000).packed(), seen.packed() + 2);
}

TEST(HlcTest, WhatIsTooFarAheadMovesNothing) {
  HlcClock clock(Hlc(), kLimits);
  EXPECT_TRUE(clock.Observe(Hlc::AtMs(61'000), 1'000));
  EXPECT_FALSE(clock.Observe(Hlc::AtMs(61'001), 1'000));
  EXPECT_EQ(clock.Tick(1'000).packed(), Hlc::AtMs(61'000).packed() + 1);
  EXPECT_TRUE(clock.Observe(Hlc::AtMs(61'001), 1'001)) << "time caught up";
  EXPECT_FALSE(clock.Observe(Hlc(UINT64_MAX), 1'000));
  EXPECT_TRUE(IsTooFarAhead(Hlc(UINT64_MAX), INT64_MIN, 0));
  EXPECT_FALSE(IsTooFarAhead(Hlc(UINT64_MAX), INT64_MAX, 0));
}

TEST(HlcTest, OneFloorCoversManyTicks) {
  HlcClock clock(Hlc(), kLimits);
  EXPECT_FALSE(clock.FloorDue()) << "nothing was used";
  int raised = 0;
  for (int64_t now = 10'000; now < 40'000; now += 10) {
    const Hlc time = clock.Tick(now);
    if (const auto floor = clock.FloorDue()) {
      EXPECT_GE(*floor, time);
      clock.FloorPersisted(*floor);
      ++raised;
    }
    EXPECT_FALSE(clock.FloorDue());
  }
  EXPECT_EQ(raised, 10);
}

TEST(HlcTest, FloorIsDueUntilItIsPersisted) {
  HlcClock clock(Hlc(), kLimits);
  clock.Tick(10'000);
  EXPECT_EQ(clock.FloorDue(), Hlc::AtMs(13'000));
  clock.Tick(10'500);
  EXPECT_EQ(clock.FloorDue(), Hlc::AtMs(13'500));
  clock.FloorPersisted(Hlc::AtMs(13'000));
  EXPECT_FALSE(clock.FloorDue());
  clock.Tick(13'001);
  EXPECT_EQ(clock.FloorDue(), Hlc::AtMs(16'001));
}

TEST(HlcTest, FloorCoversWhatWasSeen) {
  HlcClock clock(Hlc(), kLimits);
  const Hlc seen(Hlc::AtMs(20'000).packed() + 9);
  EXPECT_TRUE(clock.Observe(seen, 10'000));
  EXPECT_EQ(clock.FloorDue(), Hlc::AtMs(23'000));
}

TEST(HlcTest, FloorIsNotBelowWhatWasUsedAtTheEndOfTime) {
  HlcClock clock(Hlc(), kLimits);
  clock.Tick(INT64_MAX);
  const Hlc last = clock.Tick(INT64_MAX);
  EXPECT_EQ(clock.FloorDue(), last);
}

TEST(HlcTest, RestartGoesOnAboveTheFloorWhateverTheClockSays) {
  HlcClock clock(Hlc(), kLimits);
  const Hlc used = clock.Tick(10'000);
  const Hlc floor = *clock.FloorDue();
  HlcClock restarted(floor, kLimits);
  EXPECT_FALSE(restarted.FloorDue());
  EXPECT_GT(restarted.Tick(0), used);
  EXPECT_TRUE(restarted.FloorDue());
}

TEST(HlcTest, StampsRightAfterARestartAreNotTooFarAhead) {
  HlcClock clock(Hlc(), kLimits);
  clock.Tick(10'000);
  HlcClock restarted(*clock.FloorDue(), kLimits);
  EXPECT_FALSE(IsTooFarAhead(restarted.Tick(10'000), 10'000, kLimits.max_ahead_ms));
}

}  // namespace
}  // namespace selvage::table
