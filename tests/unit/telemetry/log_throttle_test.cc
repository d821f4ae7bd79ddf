#include "fabric/telemetry/log_throttle.h"

#include <gtest/gtest.h>

namespace selvage {
namespace {

TEST(LogThrottleTest, SoManyLinesInAMinuteAndACountOfTheOthers) {
  LogThrottle throttle(2);
  EXPECT_EQ(throttle.Take(absl::Seconds(1)), 0u);
  EXPECT_EQ(throttle.Take(absl::Seconds(2)), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(throttle.Take(absl::Seconds(60)), std::nullopt);
  EXPECT_EQ(throttle.Take(absl::Seconds(61)), 5u);
  EXPECT_EQ(throttle.Take(absl::Seconds(62)), 0u);
  EXPECT_EQ(throttle.Take(absl::Seconds(63)), std::nullopt);
}

}  // namespace
}  // namespace selvage
