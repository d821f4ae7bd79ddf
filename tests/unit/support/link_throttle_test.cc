// Delay and rate of a link: how long things take is checked from below only, how much passes from above only,
// so that a busy machine fails nothing.
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "fabric/base/clock.h"
#include "tests/support/eventually.h"
#include "tests/support/link_proxy.h"
#include "tests/unit/support/socket_peers.h"

namespace selvage::test {
namespace {

constexpr int64_t kSlowBits = 64'000;
// What a sender's kernel, the proxy and the receiver's side may hold between them.
constexpr size_t kHeldBytes = 256 << 10;

absl::Duration Now() {
  return SystemClock().Monotonic();
}

class LinkThrottleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto proxy = LinkProxy::Start({.target_port = server_.port()});
    ASSERT_TRUE(proxy.ok()) << proxy.status();
    proxy_ = std::move(proxy).value();
  }

  Server server_;
  std::unique_ptr<LinkProxy> proxy_;
};

TEST_F(LinkThrottleTest, DelaysEachWayByItsOwnTime) {
  Client near(proxy_->port());
  Client far = server_.Accept();
  proxy_->Delay(Direction::kUp, absl::Milliseconds(150));
  proxy_->Delay(Direction::kDown, absl::Milliseconds(50));
  std::string got;
  const absl::Duration start = Now();
  ASSERT_TRUE(near.Send("up"));
  ASSERT_EQ(far.Receive(2, got), Outcome::kData);
  const absl::Duration turn = Now();
  EXPECT_GE(turn - start, absl::Milliseconds(150));
  ASSERT_TRUE(far.Send("down"));
  ASSERT_EQ(near.Receive(4, got), Outcome::kData);
  EXPECT_GE(Now() - turn, absl::Milliseconds(50));
}

TEST_F(LinkThrottleTest, ADelayHoldsBackTheEndToo) {
  Client near(proxy_->port());
  Client far = server_.Accept();
  proxy_->Delay(Direction::kUp, absl::Milliseconds(100));
  const absl::Duration start = Now();
  near.Close();
  EXPECT_EQ(far.ReceiveEnd(), Outcome::kEnd);
  EXPECT_GE(Now() - start, absl::Milliseconds(100));
}

TEST_F(LinkThrottleTest, ADelayDoesNotLimitThroughput) {
  Client near(proxy_->port());
  Client far = server_.Accept();
  // Were the link to wait for one piece before it takes the next, this delay would never end within the test.
  proxy_->Delay(Direction::kUp, absl::Hours(1));
  const std::string sent(8 << 20, 'x');
  ASSERT_TRUE(near.Send(sent));
  EXPECT_EQ(proxy_->counters().bytes_up, 0u);
  proxy_->Delay(Direction::kUp, absl::ZeroDuration());
  std::string got;
  EXPECT_EQ(far.Receive(sent.size(), got), Outcome::kData);
}

TEST_F(LinkThrottleTest, AShorterDelayAlsoHelpsWhatIsOnItsWay) {
  Client near(proxy_->port());
  Client far = server_.Accept();
  proxy_->Delay(Direction::kUp, absl::Hours(1));
  ASSERT_TRUE(near.Send("hurry"));
  std::string got;
  ASSERT_EQ(far.Receive(5, got, absl::Milliseconds(50)), Outcome::kTimeout);
  proxy_->Delay(Direction::kUp, absl::Milliseconds(200));
  EXPECT_EQ(far.Receive(5, got), Outcome::kData);
}

TEST_F(LinkThrottleTest, MovesNoMoreThanTheRate) {
  Client near(proxy_->port());
  Client far = server_.Accept();
  proxy_->Throttle(Direction::kUp, kSlowBits);
  // An idle link saves nothing up.
  std::string got;
  ASSERT_EQ(far.Receive(1, got, absl::Milliseconds(300)), Outcome::kTimeout);
  const absl::Duration start = Now();
  std::thread sender([&] { near.Send(std::string(64 << 10, 'x'), absl::Seconds(2)); });
  // Two thirds of a second's bytes cannot be here before two thirds of a second, less what the gate may make
  // up for.
  constexpr size_t kBytes = kSlowBits / 8 * 2 / 3;
  EXPECT_EQ(far.Receive(kBytes, got), Outcome::kData);
  EXPECT_GE(Now() - start, absl::Milliseconds(560));
  far.Receive(SIZE_MAX, got, absl::Seconds(1));
  const double seconds = absl::ToDoubleSeconds(Now() - start);
  EXPECT_LE(static_cast<double>(proxy_->counters().bytes_up), (seconds + 0.1) * kSlowBits / 8);
  sender.join();
}

TEST_F(LinkThrottleTest, ASlowLinkPushesBackBothWays) {
  Client near(proxy_->port());
  Client far = server_.Accept();
  proxy_->Throttle(Direction::kBoth, 8'000);
  EXPECT_LT(near.SendUntilBlocked(absl::Milliseconds(200)), kHeldBytes);
  EXPECT_LT(far.SendUntilBlocked(absl::Milliseconds(200)), kHeldBytes);
}

TEST_F(LinkThrottleTest, ASlowLinkWithALongDelayHoldsOnlyWhatIsInFlight) {
  Client near(proxy_->port());
  Client far = server_.Accept();
  proxy_->Throttle(Direction::kUp, 8'000);
  proxy_->Delay(Direction::kUp, absl::Hours(1));
  EXPECT_LT(near.SendUntilBlocked(absl::Milliseconds(200)), kHeldBytes);
}

TEST_F(LinkThrottleTest, AReceiverThatDoesNotReadPushesBack) {
  // The receiver's kernel holds some hundred KiB more.
  Client near(proxy_->port());
  Client far = server_.Accept();
  EXPECT_LT(near.SendUntilBlocked(absl::Milliseconds(200)), 4u << 20);

  Client throttled(proxy_->port());
  Client throttled_far = server_.Accept();
  proxy_->Throttle(Direction::kUp, 80'000'000);
  proxy_->Delay(Direction::kUp, absl::Milliseconds(5));
  EXPECT_LT(throttled.SendUntilBlocked(absl::Milliseconds(200)), 4u << 20);
}

TEST_F(LinkThrottleTest, ConnectionsShareTheRateInTurns) {
  Client first(proxy_->port());
  Client first_far = server_.Accept();
  Client second(proxy_->port());
  Client second_far = server_.Accept();
  Client small(proxy_->port());
  Client small_far = server_.Accept();
  proxy_->Throttle(Direction::kUp, 200'000);
  // Two fill the link for seconds; the third must get through all the same, and long before they are done.
  ASSERT_TRUE(small.Send(std::string(6000, 'y')));
  ASSERT_TRUE(first.Send(std::string(40'000, 'x')));
  ASSERT_TRUE(second.Send(std::string(40'000, 'x')));
  std::string got;
  ASSERT_EQ(small_far.Receive(6000, got), Outcome::kData);
  EXPECT_LT(proxy_->counters().bytes_up, 40'000u);
}

TEST_F(LinkThrottleTest, AHigherRateFreesWhoWaits) {
  Client near(proxy_->port());
  Client far = server_.Accept();
  proxy_->Throttle(Direction::kUp, 8);  // the first turn alone takes minutes to pay for
  const std::string sent(20'000, 'x');
  ASSERT_TRUE(near.Send(sent));
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] { return proxy_->counters().bytes_up > 0; }));
  proxy_->Throttle(Direction::kUp, 10'000'000);
  std::string got;
  EXPECT_EQ(far.Receive(sent.size(), got), Outcome::kData);
}

}  // namespace
}  // namespace selvage::test
