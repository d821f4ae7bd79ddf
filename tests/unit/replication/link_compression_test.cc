#include "fabric/replication/link_compression.h"

#include <gtest/gtest.h>

namespace selvage::replication {
namespace {

constexpr double kFast = 100e6;
constexpr double kSlow = 1e6;
constexpr size_t kEntry = 256 << 10;

/// How many of `entries` are tried when each try has this outcome.
int Tries(CompressionHabit& habit, int entries, bool shrinks, double link_rate = kFast) {
  int tries = 0;
  for (int i = 0; i < entries; ++i) {
    if (!habit.WorthATry(kEntry, link_rate)) continue;
    ++tries;
    habit.Tried(shrinks);
  }
  return tries;
}

TEST(CompressionHabitTest, WhatShrinksIsAlwaysTried) {
  CompressionHabit habit;
  EXPECT_EQ(Tries(habit, 1000, true), 1000);
}

TEST(CompressionHabitTest, WhatDoesNotShrinkIsTriedMoreAndMoreSeldom) {
  CompressionHabit habit;
  // 1 GiB: after 0, 1, 3, 7, 15, 31, 63 MiB, then every 64 MiB.
  const int entries = 4096;
  const int tries = Tries(habit, entries, false);
  EXPECT_GE(tries, 16);
  EXPECT_LE(tries, 24);
  // Never given up: of the next 65 MiB one is tried.
  EXPECT_GE(Tries(habit, 261, false), 1);
}

TEST(CompressionHabitTest, OneThatShrinksBringsTheHabitBack) {
  CompressionHabit habit;
  Tries(habit, 4096, false);
  int skipped = 0;
  while (!habit.WorthATry(kEntry, kFast)) ++skipped;
  EXPECT_LE(skipped, 256);
  habit.Tried(true);
  EXPECT_EQ(Tries(habit, 100, true), 100);
  // And it is given up as slowly as at first.
  habit.WorthATry(kEntry, kFast);
  habit.Tried(false);
  EXPECT_EQ(Tries(habit, 14, false), 2);
}

TEST(CompressionHabitTest, OnASlowLinkEachIsTried) {
  CompressionHabit habit;
  EXPECT_EQ(Tries(habit, 1000, false, kSlow), 1000);
  CompressionHabit unknown;
  EXPECT_EQ(Tries(unknown, 1000, false, 0), 1000);
}

/// So much time passes, in rounds of 10 ms of which this share is work.
void Pass(CompressionEffort& effort, absl::Duration& now, absl::Duration time, double work) {
  const absl::Duration round = absl::Milliseconds(10);
  for (const absl::Duration end = now + time; now < end; now += round) {
    effort.Working(now);
    effort.Waiting(now + round * work);
  }
}

TEST(CompressionEffortTest, RisesWhileTheSenderWaitsForTheLink) {
  CompressionEffort effort;
  absl::Duration now = absl::Seconds(50);
  effort.Idle(now);
  EXPECT_EQ(effort.level(), 1);
  Pass(effort, now, absl::Seconds(5), 0.05);
  EXPECT_EQ(effort.level(), 7);
}

TEST(CompressionEffortTest, FallsWhenTheProcessorIsShort) {
  CompressionEffort effort;
  absl::Duration now = absl::Seconds(50);
  effort.Idle(now);
  Pass(effort, now, absl::Seconds(5), 0.01);
  Pass(effort, now, absl::Seconds(5), 0.9);
  EXPECT_EQ(effort.level(), 1);
}

TEST(CompressionEffortTest, StaysWhereALevelTakesBetweenALittleAndHalfOfTheTime) {
  CompressionEffort effort;
  absl::Duration now = absl::Seconds(50);
  effort.Idle(now);
  // What a level costs: each twice the one before.
  const auto cost = [&] {
    return 0.09 * (effort.level() == 1 ? 1 : effort.level() == 3 ? 2 : effort.level() == 5 ? 4 : 8);
  };
  for (int i = 0; i < 20; ++i) Pass(effort, now, absl::Milliseconds(300), cost());
  const int settled = effort.level();
  EXPECT_EQ(settled, 3);
  for (int i = 0; i < 50; ++i) {
    Pass(effort, now, absl::Milliseconds(300), cost());
    EXPECT_EQ(effort.level(), settled);
  }
}

TEST(CompressionEffortTest, IdleTimeTellsNothing) {
  CompressionEffort effort;
  absl::Duration now = absl::Seconds(50);
  effort.Idle(now);
  effort.Working(now);
  effort.Idle(now + absl::Milliseconds(1));
  effort.Working(now + absl::Hours(1));
  effort.Idle(now + absl::Hours(1) + absl::Milliseconds(1));
  EXPECT_EQ(effort.level(), 1);
}

}  // namespace
}  // namespace selvage::replication
