#include "tests/support/connect_proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/eventually.h"
#include "tests/unit/support/socket_peers.h"

namespace selvage::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class ConnectProxyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto proxy = ConnectProxy::Start();
    ASSERT_TRUE(proxy.ok()) << proxy.status();
    proxy_ = std::move(proxy).value();
  }

  static std::string Authority(const std::string& host, uint16_t port) {
    return host + ":" + std::to_string(port);
  }
  static std::string ConnectTo(const std::string& authority) {
    return "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n";
  }
  // Sends it and returns the answer's head.
  static std::string Ask(Client& client, const std::string& request) {
    EXPECT_TRUE(client.Send(request));
    std::string head;
    std::string byte;
    while (!head.ends_with("\r\n\r\n") && client.Receive(1, byte) == Outcome::kData) head += byte;
    return head;
  }

  std::unique_ptr<ConnectProxy> proxy_;
};

TEST_F(ConnectProxyTest, TunnelsAndCounts) {
  EchoServer echo;
  Client client(proxy_->port());
  const std::string authority = Authority("core.example", echo.port());
  EXPECT_THAT(Ask(client, ConnectTo(authority)), StartsWith("HTTP/1.1 200 "));
  std::string got;
  ASSERT_TRUE(client.Send("through the tunnel"));
  EXPECT_EQ(client.Receive(18, got), Outcome::kData);
  EXPECT_EQ(got, "through the tunnel");
  EXPECT_THAT(proxy_->requests(), ElementsAre(authority));
  EXPECT_EQ(proxy_->open_tunnels(), 1u);
  client.Close();
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return proxy_->open_tunnels() == 0; }));
}

TEST_F(ConnectProxyTest, PassesOnWhatCameTogetherWithTheRequest) {
  Server server;
  Client client(proxy_->port());
  ASSERT_TRUE(client.Send(ConnectTo(Authority("localhost", server.port())) + "early"));
  Client far = server.Accept();
  std::string got;
  EXPECT_EQ(far.Receive(5, got), Outcome::kData);
  EXPECT_EQ(got, "early");
}

TEST_F(ConnectProxyTest, TheTargetsEndReachesTheClient) {
  Server server;
  Client client(proxy_->port());
  EXPECT_THAT(Ask(client, ConnectTo(Authority("localhost", server.port()))), StartsWith("HTTP/1.1 200 "));
  server.Accept().Close();
  EXPECT_EQ(client.ReceiveEnd(), Outcome::kEnd);
}

TEST_F(ConnectProxyTest, AnswersWithAnErrorWhatItCannotDo) {
  uint16_t nobody = 0;
  {
    Server gone;
    nobody = gone.port();
  }
  Client unreachable(proxy_->port());
  EXPECT_THAT(Ask(unreachable, ConnectTo(Authority("core", nobody))), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(unreachable.ReceiveEnd(), Outcome::kEnd);
  EXPECT_THAT(proxy_->requests(), ElementsAre(Authority("core", nobody)));

  Client getter(proxy_->port());
  EXPECT_THAT(Ask(getter, "GET http://core/ HTTP/1.1\r\nHost: core\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  for (const char* authority : {"core", "core:", "core:0", "core:65536", "core:12x", ":80"}) {
    Client client(proxy_->port());
    EXPECT_THAT(Ask(client, ConnectTo(authority)), StartsWith("HTTP/1.1 400 ")) << authority;
  }
  Client babbler(proxy_->port());
  EXPECT_THAT(Ask(babbler, "hello?\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_EQ(proxy_->requests().size(), 1u);
}

TEST_F(ConnectProxyTest, EndsWithItsConnectionsReset) {
  Server server;
  Client tunnelled(proxy_->port());
  EXPECT_THAT(Ask(tunnelled, ConnectTo(Authority("localhost", server.port()))), StartsWith("HTTP/1.1 200 "));
  Client far = server.Accept();
  Client asking(proxy_->port());
  ASSERT_TRUE(asking.Send("CONNECT core:"));
  proxy_.reset();
  EXPECT_EQ(tunnelled.ReceiveEnd(), Outcome::kReset);
  EXPECT_EQ(far.ReceiveEnd(), Outcome::kReset);
  EXPECT_EQ(asking.ReceiveEnd(), Outcome::kReset);
}

}  // namespace
}  // namespace selvage::test
