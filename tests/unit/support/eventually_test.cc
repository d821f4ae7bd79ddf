#include "tests/support/eventually.h"

#include <gtest/gtest.h>

namespace selvage::test {
namespace {

TEST(EventuallyTest, AsksUntilItIsTrue) {
  int asked = 0;
  EXPECT_TRUE(Eventually(
      absl::Seconds(60), [&] { return ++asked == 3; }, absl::Milliseconds(1)));
  EXPECT_EQ(asked, 3);
}

TEST(EventuallyTest, AsksAtLeastOnce) {
  EXPECT_TRUE(Eventually(absl::ZeroDuration(), [] { return true; }));
}

TEST(EventuallyTest, GivesUpNotBeforeTheDeadline) {
  const absl::Duration start = SystemClock().Monotonic();
  EXPECT_FALSE(Eventually(
      absl::Milliseconds(30), [] { return false; }, absl::Milliseconds(1)));
  EXPECT_GE(SystemClock().Monotonic() - start, absl::Milliseconds(30));
}

}  // namespace
}  // namespace selvage::test
