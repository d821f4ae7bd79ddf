#include "fabric/telemetry/log_limit.h"

#include <gtest/gtest.h>

namespace selvage {
namespace {

TEST(LogLimit, SaysAFewAndCountsTheOthers) {
  LogLimit limit;
  const absl::Duration start = absl::Hours(1);
  int said = 0;
  for (int i = 0; i < 1000; ++i) said += limit.Admit(start).has_value() ? 1 : 0;
  EXPECT_EQ(said, 5);
  EXPECT_FALSE(limit.Admit(start + absl::Seconds(9)).has_value());
  EXPECT_EQ(limit.Admit(start + absl::Seconds(10)).value().unsaid(), 996u);
  EXPECT_EQ(limit.Admit(start + absl::Seconds(10)).value().unsaid(), 0u);
}

}  // namespace
}  // namespace selvage
