#include "fabric/telemetry/http_endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <thread>

#include "absl/time/clock.h"
#include "fabric/base/error.h"
#include "fabric/telemetry/health.h"
#include "fabric/telemetry/metrics.h"

namespace selvage {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using ::testing::HasSubstr;
using Response = http::response<http::string_body>;

/// A blocking client on one connection.
class Client {
 public:
  explicit Client(uint16_t port) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    // A test that would wait for ever fails instead.
    timeval timeout{20, 0};
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  }

  void Send(std::string_view text) { asio::write(socket_, asio::buffer(text)); }

  /// The response, or nothing when the connection ended instead.
  std::optional<Response> Receive() {
    Response response;
    boost::system::error_code error;
    http::read(socket_, buffer_, response, error);
    if (error) return std::nullopt;
    return response;
  }

  /// The same for what answers a HEAD.
  std::optional<http::response<http::empty_body>> ReceiveHead() {
    http::response_parser<http::empty_body> parser;
    parser.skip(true);
    boost::system::error_code error;
    http::read(socket_, buffer_, parser, error);
    if (error) return std::nullopt;
    return parser.release();
  }

  std::optional<Response> Get(std::string_view path) {
    Send("GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return Receive();
  }

  /// True when the server closed; it must do so within the client's timeout.
  bool SeesEnd() {
    char byte;
    boost::system::error_code error;
    asio::read(socket_, asio::buffer(&byte, 1), error);
    return error == asio::error::eof || error == asio::error::connection_reset;
  }

 private:
  asio::io_context context_;
  tcp::socket socket_{context_};
  boost::beast::flat_buffer buffer_;
};

class HttpEndpointTest : public ::testing::Test {
 protected:
  void Serve(HttpEndpoint::Options options) {
    auto started = HttpEndpoint::Start(std::move(options));
    ASSERT_TRUE(started.ok()) << Describe(started.status());
    endpoint_ = *std::move(started);
  }
  void ServeOperators() { Serve({.handlers = OperatorHandlers(metrics_, health_)}); }

  Metrics metrics_{"test"};
  Health health_;
  std::unique_ptr<HttpEndpoint> endpoint_;
};

TEST_F(HttpEndpointTest, ServesMetricsAndHealthOnOneConnection) {
  metrics_.AddCounter("selvage_appends_total", "Appends.").Add(4);
  ServeOperators();
  ASSERT_NE(endpoint_->port(), 0);
  Client client(endpoint_->port());
  auto metrics = client.Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->result_int(), 200u);
  EXPECT_EQ((*metrics)[http::field::content_type], "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(metrics->body(), HasSubstr("selvage_appends_total 4\n"));
  auto live = client.Get("/healthz?verbose=1");
  ASSERT_TRUE(live);
  EXPECT_EQ(live->result_int(), 200u);
  EXPECT_EQ(live->body(), "{\"live\":true}\n");
}

TEST_F(HttpEndpointTest, ReadinessNamesWhatItWaitsFor) {
  health_.SetNotReady("store", "opening \"/data\"");
  health_.SetNotReady("link", "not connected");
  ServeOperators();
  Client client(endpoint_->port());
  auto waiting = client.Get("/readyz");
  ASSERT_TRUE(waiting);
  EXPECT_EQ(waiting->result_int(), 503u);
  EXPECT_EQ((*waiting)[http::field::content_type], "application/json");
  EXPECT_EQ(boost::json::parse(waiting->body()), boost::json::parse(R"({"ready": false, "reasons": [
      {"part": "link", "reason": "not connected"}, {"part": "store", "reason": "opening \"/data\""}]})"));
  health_.SetReady("store");
  health_.SetReady("link");
  auto ready = client.Get("/readyz");
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->result_int(), 200u);
  EXPECT_EQ(ready->body(), "{\"ready\":true,\"reasons\":[]}\n");
}

TEST_F(HttpEndpointTest, AFailedStoreIsNeitherLiveNorReady) {
  health_.SetFailed(
      MakeError(absl::StatusCode::kDataLoss, "sync_failed", "a sync failed", "look at the disk"));
  health_.SetFailed(absl::InternalError("a later one"));
  ServeOperators();
  Client client(endpoint_->port());
  auto live = client.Get("/healthz");
  ASSERT_TRUE(live);
  EXPECT_EQ(live->result_int(), 503u);
  EXPECT_THAT(live->body(), HasSubstr("a sync failed; look at the disk"));
  auto ready = client.Get("/readyz");
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->result_int(), 503u);
}

TEST_F(HttpEndpointTest, OtherPathsAndMethodsAreRefused) {
  ServeOperators();
  {
    Client client(endpoint_->port());
    auto missing = client.Get("/metricsx");
    ASSERT_TRUE(missing);
    EXPECT_EQ(missing->result_int(), 404u);
    EXPECT_THAT(missing->body(), HasSubstr("/healthz /metrics /readyz"));
  }
  Client client(endpoint_->port());
  client.Send("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
  auto refused = client.Receive();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->result_int(), 405u);
  EXPECT_EQ((*refused)[http::field::allow], "GET, HEAD");
  EXPECT_TRUE(client.SeesEnd()) << "the body was not read, so no other request can follow";
}

TEST_F(HttpEndpointTest, AHeadIsAnsweredLikeAGetWithoutItsBody) {
  ServeOperators();
  Client client(endpoint_->port());
  auto got = client.Get("/healthz");
  ASSERT_TRUE(got);
  for (const char* path : {"/healthz", "/nowhere"}) {
    client.Send("HEAD " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    auto head = client.ReceiveHead();
    ASSERT_TRUE(head);
    EXPECT_EQ(head->result_int(), path == std::string("/healthz") ? got->result_int() : 404u);
    EXPECT_NE((*head)[http::field::content_length], "0");
  }
  EXPECT_TRUE(client.Get("/healthz")) << "the connection is in step";
}

TEST_F(HttpEndpointTest, MalformedAndOversizedRequestsGetAnAnswerAndTheEnd) {
  ServeOperators();
  Client malformed(endpoint_->port());
  malformed.Send("what is this\r\n\r\n");
  auto bad = malformed.Receive();
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->result_int(), 400u);
  EXPECT_TRUE(malformed.SeesEnd());

  Client oversized(endpoint_->port());
  oversized.Send("GET /metrics HTTP/1.1\r\nX: " + std::string(20000, 'x') + "\r\n\r\n");
  auto large = oversized.Receive();
  ASSERT_TRUE(large);
  EXPECT_EQ(large->result_int(), 431u);
  EXPECT_TRUE(oversized.SeesEnd());
}

TEST_F(HttpEndpointTest, AHandlerThatThrowsCostsOneReply) {
  Serve({.handlers = {{"/bad", []() -> HttpReply { throw std::runtime_error("broken"); }},
                      {"/good", [] { return HttpReply{.body = "ok"}; }}}});
  Client client(endpoint_->port());
  auto bad = client.Get("/bad");
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->result_int(), 500u);
  auto good = client.Get("/good");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->body(), "ok");
}

TEST_F(HttpEndpointTest, SlowClientsDelayNobodyAndAreCut) {
  Serve({.handlers = OperatorHandlers(metrics_, health_), .timeout = absl::Milliseconds(500)});
  Client slow(endpoint_->port());
  slow.Send("GET /healthz HTTP/1.1\r\nX: ");
  const absl::Time start = absl::Now();
  for (int i = 0; i < 20; ++i) {
    auto reply = Client(endpoint_->port()).Get("/healthz");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->result_int(), 200u);
  }
  // Trickling does not extend the time: the request must be whole within it.
  std::thread trickle([&] {
    try {
      while (true) {
        slow.Send("x");
        absl::SleepFor(absl::Milliseconds(50));
      }
    } catch (const boost::system::system_error&) {  // cut
    }
  });
  trickle.join();
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(400));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(HttpEndpointTest, AtTheLimitTheOldestConnectionMakesRoom) {
  Serve({.handlers = OperatorHandlers(metrics_, health_), .connections_max = 2});
  Client first(endpoint_->port()), second(endpoint_->port());
  ASSERT_TRUE(first.Get("/healthz"));
  ASSERT_TRUE(second.Get("/healthz"));
  Client third(endpoint_->port());
  ASSERT_TRUE(third.Get("/healthz"));
  EXPECT_TRUE(first.SeesEnd());
  EXPECT_TRUE(second.Get("/healthz"));
}

TEST_F(HttpEndpointTest, StopIsQuickAndCutsConnections) {
  ServeOperators();
  Client idle(endpoint_->port()), partial(endpoint_->port());
  ASSERT_TRUE(idle.Get("/healthz"));
  partial.Send("GET /");
  const uint16_t port = endpoint_->port();
  const absl::Time start = absl::Now();
  endpoint_->Stop();
  endpoint_->Stop();
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
  endpoint_.reset();
  EXPECT_TRUE(idle.SeesEnd());
  EXPECT_TRUE(partial.SeesEnd());
  EXPECT_THROW(Client{port}, boost::system::system_error);
}

TEST_F(HttpEndpointTest, SaysWhyItCannotListen) {
  ServeOperators();
  auto taken = HttpEndpoint::Start({.port = endpoint_->port()});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(ErrorKind(taken.status()), "http_listen_failed");
  EXPECT_EQ(taken.status().message(), "cannot serve HTTP on 127.0.0.1:" + std::to_string(endpoint_->port()) +
                                          ": Address already in use");
  auto elsewhere = HttpEndpoint::Start({.host = "192.0.2.1"});
  ASSERT_FALSE(elsewhere.ok());
  EXPECT_THAT(std::string(elsewhere.status().message()), HasSubstr("Cannot assign requested address"));
  auto malformed = HttpEndpoint::Start({.host = "nonsense"});
  ASSERT_FALSE(malformed.ok());
  EXPECT_EQ(malformed.status().message(), "cannot serve HTTP on nonsense:0: not an IP address");
}

}  // namespace
}  // namespace selvage
