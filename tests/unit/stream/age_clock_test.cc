#include "fabric/stream/age_clock.h"

#include "tests/contract/log/log_node.h"

namespace selvage {
namespace {

constexpr int64_t kHour = 3'600'000;
const absl::Time k2040 = absl::FromUnixSeconds(2'208'988'800);

TEST(AgeClock, FollowsAWallClockThatBehaves) {
  FakeClock clock;
  AgeClock ages(clock);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(ages.NowMs(), absl::ToUnixMillis(clock.Wall()));
    clock.Advance(absl::Minutes(7));
    if (i % 10 == 0) clock.JumpTo(clock.Wall() + absl::Seconds(30));  // as when it is set right
  }
}

TEST(AgeClock, NeverGoesBackAndGoesOnThroughJumps) {
  for (absl::Time jump :
       {absl::UnixEpoch(), absl::UnixEpoch() - absl::Hours(9), absl::FromUnixSeconds(1'700'000'000)}) {
    FakeClock clock;
    AgeClock ages(clock);
    const int64_t before = ages.NowMs();
    clock.JumpTo(jump);
    EXPECT_EQ(ages.NowMs(), before);
    clock.Advance(absl::Hours(2));
    EXPECT_EQ(ages.NowMs(), before + 2 * kHour) << "time does not stand still either";
  }
}

TEST(AgeClock, AWallClockAheadIsCaughtUpWithSlowly) {
  FakeClock clock;
  AgeClock ages(clock);
  const int64_t before = ages.NowMs();
  clock.JumpTo(k2040);
  EXPECT_EQ(ages.NowMs(), before);
  clock.Advance(absl::Hours(8));
  EXPECT_EQ(ages.NowMs(), before + 9 * kHour);
  clock.JumpTo(absl::FromUnixMillis(before) + absl::Hours(8));
  EXPECT_EQ(ages.NowMs(), before + 9 * kHour);
}

TEST(AgeClock, GoesOnFromWhatWasStored) {
  FakeClock clock;
  AgeClock ages(clock);
  const int64_t stored = absl::ToUnixMillis(clock.Wall()) - 72 * kHour;
  ages.GoOnFrom(stored);
  EXPECT_EQ(ages.NowMs(), stored) << "three days off are believed only as they pass";
  clock.Advance(absl::Hours(72 * 8 + 100));
  ages.NowMs();
  clock.Advance(absl::Minutes(1));
  EXPECT_EQ(ages.NowMs(), absl::ToUnixMillis(clock.Wall())) << "they are made up for";
}

TEST(AgeClock, ShortStepsAddUp) {
  FakeClock clock;
  AgeClock ages(clock);
  const int64_t before = ages.NowMs();
  clock.JumpTo(k2040);
  for (int i = 0; i < 10'000; ++i) {
    clock.Advance(absl::Microseconds(100));
    ages.NowMs();
  }
  EXPECT_NEAR(static_cast<double>(ages.NowMs() - before), 1125, 1);
}

}  // namespace
}  // namespace selvage
