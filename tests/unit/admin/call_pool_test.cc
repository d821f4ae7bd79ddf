#include "fabric/admin/call_pool.h"

#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/notification.h"

namespace selvage {
namespace {

TEST(CallPool, RefusesWhatIsBeyondItsBounds) {
  absl::Notification go_on;
  std::atomic<int> ran{0};
  {
    CallPool pool({.threads = 1, .calls_max = 3, .bytes_max = 100});
    auto wait = [&] {
      go_on.WaitForNotification();
      ++ran;
    };
    EXPECT_TRUE(pool.TryRun(60, wait));
    EXPECT_FALSE(pool.TryRun(60, wait)) << "120 of 100 bytes";
    EXPECT_TRUE(pool.TryRun(40, wait));
    EXPECT_TRUE(pool.TryRun(0, wait));
    EXPECT_FALSE(pool.TryRun(0, wait)) << "a fourth call of three";
    pool.Continue([&] { ++ran; });
    go_on.Notify();
  }
  EXPECT_EQ(ran, 4) << "what was taken runs before the pool is gone";
}

TEST(CallPool, ACallLargerThanTheBoundFitsAlone) {
  absl::Notification ran;
  CallPool pool({.threads = 1, .calls_max = 3, .bytes_max = 100});
  EXPECT_TRUE(pool.TryRun(1000, [&] { ran.Notify(); }));
  ran.WaitForNotification();
}

TEST(CallPool, TakesCallsAgainAfterOthersEnded) {
  CallPool pool({.threads = 2, .calls_max = 1, .bytes_max = 100});
  for (int i = 0; i < 100; ++i) {
    absl::Notification ran;
    while (!pool.TryRun(100, [&] { ran.Notify(); })) std::this_thread::yield();
    ran.WaitForNotification();
  }
}

}  // namespace
}  // namespace selvage
