#include "tests/support/link_proxy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/eventually.h"
#include "tests/support/process.h"
#include "tests/unit/support/socket_peers.h"

namespace selvage::test {
namespace {

// How long a test waits to see that nothing comes.
constexpr absl::Duration kQuiet = absl::Milliseconds(200);

// What this process holds in memory of its own.
int64_t AnonymousBytes() {
  const auto use = MemoryOf(getpid());
  EXPECT_TRUE(use.ok()) << use.status();
  return use.ok() ? use->anonymous_bytes : 0;
}

std::unique_ptr<LinkProxy> StartProxy(uint16_t target_port) {
  auto proxy = LinkProxy::Start({.target_port = target_port});
  EXPECT_TRUE(proxy.ok()) << proxy.status();
  return std::move(proxy).value();
}

class LinkProxyTest : public ::testing::Test {
 protected:
  // Both ends of one connection through the link, known to work.
  struct Link {
    Client near;
    Client far;
  };
  Link Connect() {
    Link link{Client(proxy_->port()), server_.Accept()};
    EXPECT_TRUE(link.near.connected());
    EXPECT_TRUE(link.far.connected());
    EXPECT_TRUE(Passes(link.near, link.far));
    EXPECT_TRUE(Passes(link.far, link.near));
    return link;
  }

  static bool Passes(Client& from, Client& to, absl::Duration deadline = absl::Seconds(60)) {
    std::string got;
    return from.Send("ping") && to.Receive(4, got, deadline) == Outcome::kData && got == "ping";
  }

  Server server_;
  std::unique_ptr<LinkProxy> proxy_ = StartProxy(server_.port());
};

TEST_F(LinkProxyTest, ForwardsManyBytesUnchangedBothWays) {
  EchoServer echo;
  proxy_->SetTarget(echo.port());
  Client client(proxy_->port());
  std::string sent;
  for (int i = 0; i < 200'000; ++i) sent += static_cast<char>(i * 7 + i / 251);
  std::thread sender([&] { EXPECT_TRUE(client.Send(sent)); });
  std::string got;
  EXPECT_EQ(client.Receive(sent.size(), got), Outcome::kData);
  sender.join();
  EXPECT_TRUE(got == sent);
  const LinkCounters counters = proxy_->counters();
  EXPECT_EQ(counters.connections, 1u);
  EXPECT_EQ(counters.open, 1u);
  EXPECT_EQ(counters.bytes_up, sent.size());
  EXPECT_EQ(counters.bytes_down, sent.size());
}

TEST_F(LinkProxyTest, PassesTheEndOfEachDirectionApart) {
  Link link = Connect();
  link.near.ShutdownSend();
  EXPECT_EQ(link.far.ReceiveEnd(), Outcome::kEnd);
  EXPECT_TRUE(Passes(link.far, link.near));
  link.far.Close();
  EXPECT_EQ(link.near.ReceiveEnd(), Outcome::kEnd);
  EXPECT_TRUE(Eventually(absl::Seconds(60), [&] { return proxy_->counters().open == 0; }));
}

TEST_F(LinkProxyTest, PassesAResetOn) {
  Link link = Connect();
  // Closing with unread bytes makes the kernel send a reset.
  ASSERT_TRUE(link.far.Send("unread"));
  ASSERT_TRUE(Eventually(absl::Seconds(60), [&] { return proxy_->counters().bytes_down == 10; }));
  link.near.Close();
  EXPECT_EQ(link.far.ReceiveEnd(), Outcome::kReset);
}

TEST_F(LinkProxyTest, PassesOnAResetThatAWriteMetFirst) {
  Link link = Connect();
  proxy_->Stall(Direction::kUp);
  ASSERT_TRUE(link.far.Send("unread"));
  ASSERT_TRUE(Eventually(absl::Seconds(60), [&] { return proxy_->counters().bytes_down == 10; }));
  link.near.Close();
  ASSERT_TRUE(link.far.Send("into the void"));
  EXPECT_EQ(link.far.ReceiveEnd(kQuiet), Outcome::kTimeout);
  proxy_->Resume(Direction::kUp);
  EXPECT_EQ(link.far.ReceiveEnd(), Outcome::kReset);
}

TEST_F(LinkProxyTest, TellsTheTargetThatTheClientIsGoneForGood) {
  Link link = Connect();
  link.near.ShutdownSend();
  EXPECT_EQ(link.far.ReceiveEnd(), Outcome::kEnd);
  link.near.Close();
  // The client's kernel answers the next bytes with a reset, which only the writing direction sees.
  EXPECT_TRUE(Eventually(absl::Seconds(60), [&] { return !link.far.Send("anybody?"); }));
}

TEST_F(LinkProxyTest, CutResetsBothEndsAndAcceptsNewConnections) {
  Link first = Connect();
  Link second = Connect();
  proxy_->Cut();
  for (Client* end : {&first.near, &first.far, &second.near, &second.far}) {
    EXPECT_EQ(end->ReceiveEnd(), Outcome::kReset);
  }
  EXPECT_EQ(proxy_->counters().open, 0u);
  Connect();
  EXPECT_EQ(proxy_->counters().connections, 3u);
}

TEST_F(LinkProxyTest, RefuseTurnsNewConnectionsAwayAndKeepsThePort) {
  Link link = Connect();
  for (int round = 0; round < 3; ++round) {
    proxy_->Refuse(true);
    Client refused(proxy_->port());
    EXPECT_FALSE(refused.connected());
    EXPECT_EQ(refused.error(), ECONNREFUSED);
    EXPECT_TRUE(Passes(link.near, link.far));
    proxy_->Refuse(false);
    Connect();
  }
}

TEST_F(LinkProxyTest, AnUnreachableTargetResetsTheClient) {
  uint16_t nobody = 0;
  {
    Server gone;
    nobody = gone.port();
  }
  proxy_->SetTarget(nobody);
  Client client(proxy_->port());
  EXPECT_EQ(client.ReceiveEnd(), Outcome::kReset);
}

TEST_F(LinkProxyTest, SetTargetMovesNewConnectionsOnly) {
  Link old = Connect();
  Server moved;
  proxy_->SetTarget(moved.port());
  Client client(proxy_->port());
  Client there = moved.Accept();
  ASSERT_TRUE(there.connected());
  EXPECT_TRUE(Passes(client, there));
  EXPECT_TRUE(Passes(old.near, old.far));
}

TEST_F(LinkProxyTest, AStallHoldsOneDirectionAndLosesNothing) {
  Link link = Connect();
  proxy_->Stall(Direction::kUp);
  ASSERT_TRUE(link.near.Send("late"));
  EXPECT_EQ(link.far.ReceiveEnd(kQuiet), Outcome::kTimeout);
  EXPECT_TRUE(Passes(link.far, link.near));
  proxy_->Resume(Direction::kUp);
  std::string got;
  EXPECT_EQ(link.far.Receive(4, got), Outcome::kData);
  EXPECT_EQ(got, "late");
}

TEST_F(LinkProxyTest, AStallAlsoHoldsWhatIsOnItsWay) {
  Link link = Connect();
  proxy_->Delay(Direction::kUp, absl::Hours(1));
  ASSERT_TRUE(link.near.Send("late"));
  ASSERT_EQ(link.far.ReceiveEnd(absl::Milliseconds(50)), Outcome::kTimeout);
  proxy_->Stall(Direction::kUp);
  proxy_->Delay(Direction::kUp, absl::ZeroDuration());
  std::string got;
  EXPECT_EQ(link.far.Receive(4, got, kQuiet), Outcome::kTimeout);
  proxy_->Resume(Direction::kUp);
  EXPECT_EQ(link.far.Receive(4, got), Outcome::kData);
}

TEST_F(LinkProxyTest, AStallHidesTheEndOfTheOtherSide) {
  Link link = Connect();
  proxy_->Stall(Direction::kBoth);
  link.near.Close();
  EXPECT_EQ(link.far.ReceiveEnd(kQuiet), Outcome::kTimeout);
  proxy_->Resume(Direction::kBoth);
  EXPECT_EQ(link.far.ReceiveEnd(), Outcome::kEnd);
}

TEST_F(LinkProxyTest, AStallKeepsNewConnectionsFromTheTargetUntilItEnds) {
  proxy_->Stall(Direction::kDown);
  Client client(proxy_->port());
  ASSERT_TRUE(client.connected());
  ASSERT_TRUE(client.Send("wait"));
  EXPECT_FALSE(server_.Accept(kQuiet).connected());
  proxy_->Resume(Direction::kDown);
  Client far = server_.Accept();
  std::string got;
  EXPECT_EQ(far.Receive(4, got), Outcome::kData);
}

TEST_F(LinkProxyTest, AStalledSenderBlocksAfterABoundedAmount) {
  Link link = Connect();
  proxy_->Stall(Direction::kUp);
  EXPECT_LT(link.near.SendUntilBlocked(kQuiet), 256u << 10);
}

TEST_F(LinkProxyTest, HalfOpenSwallowsBothWaysAndClosesNeither) {
  Link link = Connect();
  const LinkCounters before = proxy_->counters();
  proxy_->HalfOpen();
  ASSERT_TRUE(link.near.Send(std::string(4 << 20, 'u')));
  ASSERT_TRUE(link.far.Send(std::string(4 << 20, 'd')));
  EXPECT_EQ(link.near.ReceiveEnd(kQuiet), Outcome::kTimeout);
  EXPECT_EQ(link.far.ReceiveEnd(kQuiet), Outcome::kTimeout);
  link.near.Close();
  EXPECT_EQ(link.far.ReceiveEnd(kQuiet), Outcome::kTimeout);
  ASSERT_TRUE(link.far.Send("still there?"));

  EXPECT_EQ(proxy_->counters().bytes_up, before.bytes_up);
  EXPECT_EQ(proxy_->counters().bytes_down, before.bytes_down);
  EXPECT_EQ(proxy_->counters().open, 1u);
  Connect();
  proxy_->Cut();
  EXPECT_EQ(link.far.ReceiveEnd(), Outcome::kReset);
}

TEST_F(LinkProxyTest, HalfOpenKeepsNothingOfWhatItSwallows) {
  Link link = Connect();
  proxy_->HalfOpen();
  const std::string block(1 << 20, 'x');
  const int64_t before = AnonymousBytes();
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(link.near.Send(block));
  EXPECT_LT(AnonymousBytes() - before, 32 << 20);
}

TEST_F(LinkProxyTest, HalfOpenAlsoTakesConnectionsThatAreStillBeingMade) {
  proxy_->Stall(Direction::kBoth);
  Client client(proxy_->port());
  ASSERT_TRUE(Eventually(absl::Seconds(60), [&] { return proxy_->counters().open == 1; }));
  proxy_->HalfOpen();
  proxy_->Resume(Direction::kBoth);
  ASSERT_TRUE(client.Send(std::string(1 << 20, 'u')));
  EXPECT_EQ(client.ReceiveEnd(kQuiet), Outcome::kTimeout);
  EXPECT_FALSE(server_.Accept(absl::ZeroDuration()).connected());
}

TEST_F(LinkProxyTest, HalfOpenDropsWhatIsOnItsWay) {
  Link link = Connect();
  proxy_->Delay(Direction::kUp, absl::Milliseconds(100));
  ASSERT_TRUE(link.near.Send("on its way"));
  proxy_->HalfOpen();
  EXPECT_EQ(link.far.ReceiveEnd(3 * absl::Milliseconds(100)), Outcome::kTimeout);
}

TEST_F(LinkProxyTest, EndsWithItsConnectionsReset) {
  Link link = Connect();
  proxy_->HalfOpen();
  Link other = Connect();
  proxy_.reset();
  for (Client* end : {&link.near, &link.far, &other.near, &other.far}) {
    EXPECT_EQ(end->ReceiveEnd(), Outcome::kReset);
  }
}

TEST_F(LinkProxyTest, FaultsMaySwitchFromManyThreadsUnderLoad) {
  EchoServer echo;
  proxy_->SetTarget(echo.port());
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        Client client(proxy_->port());
        std::string got;
        if (client.connected() && client.Send(std::string(2000, 'x'))) {
          client.Receive(2000, got, absl::Milliseconds(20));
        }
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < 30; ++i) {
      proxy_->Stall(Direction::kUp);
      proxy_->Throttle(Direction::kBoth, 1'000'000);
      proxy_->Delay(Direction::kDown, absl::Milliseconds(2));
      proxy_->Resume(Direction::kBoth);
      proxy_->Throttle(Direction::kBoth, 0);
    }
  });
  threads.emplace_back([&] {
    for (int i = 0; i < 15; ++i) {
      proxy_->Cut();
      proxy_->Refuse(true);
      proxy_->HalfOpen();
      proxy_->Refuse(false);
    }
  });
  for (std::thread& thread : threads) thread.join();
  proxy_->Delay(Direction::kDown, absl::ZeroDuration());
  proxy_->Cut();

  Client client(proxy_->port());
  std::string got;
  ASSERT_TRUE(client.Send("fine"));
  EXPECT_EQ(client.Receive(4, got), Outcome::kData);
  EXPECT_EQ(got, "fine");
}

}  // namespace
}  // namespace selvage::test
