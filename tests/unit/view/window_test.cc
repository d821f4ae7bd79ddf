#include "fabric/view/window.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/seeded_random.h"
#include "tests/unit/view/samples.h"

namespace selvage::view {
namespace {

constexpr int64_t kHour = samples::kHourMs;
constexpr int64_t kYear0 = -62'167'219'200'000;      // 0000-01-01
constexpr int64_t kYear10000 = 253'402'300'800'000;  // 10000-01-01

std::string TextOfTime(int64_t timestamp_ms, int64_t length_ms) {
  const auto window = WindowOf(timestamp_ms, length_ms);
  return window ? WindowText(*window) : "none";
}

TEST(WindowTest, BeginsAtAMultipleOfItsLength) {
  EXPECT_EQ(WindowOf(0, kHour), (Window{0, kHour}));
  EXPECT_EQ(WindowOf(kHour - 1, kHour), (Window{0, kHour}));
  EXPECT_EQ(WindowOf(kHour, kHour), (Window{kHour, 2 * kHour}));
}

TEST(WindowTest, TimesBefore1970HaveWindowsToo) {
  EXPECT_EQ(WindowOf(-2, kHour), (Window{-kHour, 0}));
  EXPECT_EQ(WindowOf(-kHour, kHour), (Window{-kHour, 0}));
  EXPECT_EQ(WindowOf(-kHour - 1, kHour), (Window{-2 * kHour, -kHour}));
}

TEST(WindowTest, WhatHasNoTimeHasNoWindow) {
  EXPECT_EQ(WindowOf(-1, kHour), std::nullopt) << "Kafka's word for no time";
  for (const int64_t far :
       {std::numeric_limits<int64_t>::min(), kYear0 - 1, kYear10000, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(WindowOf(far, kHour), std::nullopt) << far;
  }
  EXPECT_EQ(TextOfTime(kYear0, kHour), "0000-01-01T00:00:00.000Z");
  EXPECT_EQ(TextOfTime(kYear10000 - 1, kHour), "9999-12-31T23:00:00.000Z");
  EXPECT_EQ(WindowOf(kYear10000 - 1, 7 * kHour), std::nullopt) << "the window would end in the year 10000";
}

TEST(WindowTest, ItsTextIsItsStart) {
  EXPECT_EQ(TextOfTime(1'700'000'000'123, 1'500), "2023-11-14T22:13:19.500Z");
  EXPECT_EQ(TextOfTime(1'709'210'096'000, kHour), "2024-02-29T12:00:00.000Z");
  EXPECT_EQ(TextOfTime(-2, kHour), "1969-12-31T23:00:00.000Z");
}

TEST(WindowTest, EachTimeIsInItsWindowAndTextsAreInOrder) {
  test::SeededRandom random(7);
  for (int i = 0; i < 10'000; ++i) {
    const auto length = static_cast<int64_t>(random.Spread(1'000, 100'000'000'000));
    const auto draw = [&] {
      return static_cast<int64_t>(random.Below(200'000'000'000'000)) - 50'000'000'000'000;
    };
    const int64_t a = draw();
    const int64_t b = draw();
    const auto window = WindowOf(a, length);
    const auto other = WindowOf(b, length);
    ASSERT_TRUE(window && other) << a << ' ' << b << ' ' << length;
    EXPECT_LE(window->start_ms, a);
    EXPECT_LT(a, window->end_ms);
    EXPECT_EQ(window->end_ms - window->start_ms, length);
    EXPECT_EQ(window->start_ms % length, 0);
    EXPECT_EQ(WindowText(*window) < WindowText(*other), window->start_ms < other->start_ms);
  }
}

TEST(WindowTest, IsLateOnceTheLogHasPassedItsEndAndTheLateness) {
  const Window noon{12 * kHour, 13 * kHour};
  const int64_t lateness = 10 * samples::kMinuteMs;
  EXPECT_FALSE(IsLate(noon, std::nullopt, lateness)) << "nothing of the log was seen";
  EXPECT_FALSE(IsLate(noon, 13 * kHour + lateness - 1, lateness));
  EXPECT_TRUE(IsLate(noon, 13 * kHour + lateness, lateness));
  EXPECT_TRUE(IsLate(noon, 13 * kHour, 0));
  EXPECT_FALSE(IsLate(noon, 13 * kHour - 1, 0));
}

}  // namespace
}  // namespace selvage::view
