#include "fabric/api/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/ssl.hpp>
#include <boost/json.hpp>
#include <deque>
#include <stdexcept>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "fabric/base/error.h"
#include "fabric/security/pki.h"
#include "tests/support/eventually.h"
#include "tests/support/test_dir.h"
#include "tests/unit/api/http_client.h"

/// The server on real sockets, with clients that behave and clients that do not. What it serves is made up.
namespace selvage::api {
namespace {

namespace http = boost::beast::http;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Response = HttpClient::Response;
using test::Eventually;

constexpr absl::Duration kSoon = absl::Seconds(20);
const std::string kRow = "/v1/tables/t/rows/";
const std::string kWatch = "/v1/tables/t/watch";

/// Events that a test hands over.
class FakeFeed {
 public:
  explicit FakeFeed(std::atomic<int>& open) : open_(open) {}

  class Source : public EventSource {
   public:
    explicit Source(FakeFeed& feed) : feed_(feed) { ++feed_.open_; }
    ~Source() override { --feed_.open_; }
    absl::StatusOr<std::string> Next() override {
      absl::MutexLock lock(&feed_.mutex_);
      if (feed_.events_.empty()) return "";
      auto next = feed_.events_.front();
      feed_.events_.pop_front();
      return next;
    }
    bool more() const override {
      absl::MutexLock lock(&feed_.mutex_);
      return !feed_.events_.empty();
    }
    std::string Progress() const override { return ": alive\n\n"; }
    std::string Farewell(const absl::Status& error) const override {
      return "event: problem\ndata: " + ErrorKind(error) + "\n\n";
    }

   private:
    FakeFeed& feed_;
  };

  void Add(absl::StatusOr<std::string> events) {
    absl::MutexLock lock(&mutex_);
    events_.push_back(std::move(events));
  }

 private:
  std::atomic<int>& open_;
  mutable absl::Mutex mutex_;
  std::deque<absl::StatusOr<std::string>> events_ ABSL_GUARDED_BY(mutex_);
};

/// Answers by the key of the row that is asked for.
class FakeService : public Service {
 public:
  using Done = std::function<void(Reply)>;

  void Answer(const Call& call, Done done) override {
    const std::string key = call.Text("key");
    if (key == "later") {
      absl::MutexLock lock(&mutex_);
      late_.push_back(std::move(done));
      return;
    }
    if (key == "throw") throw std::runtime_error("of the service");
    if (key == "large") return done({.body = std::string(16u << 20, 'x')});
    if (call.route->action == Action::kPutRow) return done({.body = std::to_string(call.body.size())});
    done({.body = "row " + key});
  }
  absl::StatusOr<std::unique_ptr<EventSource>> Watch(const Call& call) override {
    if (call.Text("table") != "t") return MakeError(absl::StatusCode::kNotFound, "unknown_table", "no table");
    return std::make_unique<FakeFeed::Source>(feed_);
  }
  void OnChange(std::function<void()> wake) override {
    absl::MutexLock lock(&mutex_);
    wake_ = std::move(wake);
  }

  void Publish(absl::StatusOr<std::string> events) {
    feed_.Add(std::move(events));
    absl::MutexLock lock(&mutex_);
    if (wake_) wake_();
  }
  std::vector<Done> TakeLate() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(late_, {});
  }
  bool has_late() {
    absl::MutexLock lock(&mutex_);
    return !late_.empty();
  }
  int watches() const { return watches_; }

 private:
  std::atomic<int> watches_{0};
  FakeFeed feed_{watches_};
  absl::Mutex mutex_;
  std::vector<Done> late_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> wake_ ABSL_GUARDED_BY(mutex_);
};

class ApiServerTest : public ::testing::Test {
 protected:
  void Serve(Server::Options options = {}) {
    auto server = Server::Bind(std::move(options));
    ASSERT_TRUE(server.ok()) << Describe(server.status());
    server_ = *std::move(server);
    server_->Serve(service_, metrics_);
  }
  HttpClient Connect() { return HttpClient(server_->port()); }
  /// "408 request_timeout", "nothing".
  static std::string Verdict(const std::optional<Response>& response) {
    if (!response) return "nothing";
    const std::string status = std::to_string(response->result_int());
    if ((*response)[http::field::content_type] != "application/problem+json") return status;
    return status + " " + std::string(boost::json::parse(response->body()).at("kind").as_string());
  }
  void ExpectServed() { EXPECT_EQ(Connect().Ask("GET", kRow + "a").body(), "row a"); }
  bool IsCounted(const std::string& line) { return metrics_.Text().find(line + "\n") != std::string::npos; }

  Metrics metrics_{"test"};
  FakeService service_;
  std::unique_ptr<Server> server_;
};

TEST_F(ApiServerTest, RequestsOfAConnectionAreAnsweredInTheirOrder) {
  Serve();
  HttpClient client = Connect();
  client.Send(HttpClient::Request("GET", kRow + "a") + HttpClient::Request("HEAD", kRow + "b") +
              HttpClient::Request("PUT", kRow + "c", {{"Content-Type", "application/json"}}, "12345") +
              HttpClient::Request("GET", kRow + "d"));
  EXPECT_EQ(client.Receive()->body(), "row a");
  EXPECT_EQ(client.Receive(true)->body(), "");
  EXPECT_EQ(client.Receive()->body(), "5");
  EXPECT_EQ(client.Receive()->body(), "row d");
}

TEST_F(ApiServerTest, TheConnectionEndsWhenTheClientSaysSo) {
  Serve();
  HttpClient client = Connect();
  EXPECT_EQ(client.Ask("GET", kRow + "a", {{"Connection", "close"}})[http::field::connection], "close");
  EXPECT_TRUE(client.SeesEnd());
  HttpClient old = Connect();
  old.Send("GET " + kRow + "a HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.Receive()->body(), "row a");
  EXPECT_TRUE(old.SeesEnd());
}

TEST_F(ApiServerTest, WhatIsNoRequestIsRefused) {
  Serve();
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"hello\r\n\r\n", "400 malformed_request"},
      {std::string(100, '\xff') + "\r\n\r\n", "400 malformed_request"},
      {"GET " + kRow + "a HTTP/1.1\r\n\r\n", "400 malformed_request"},  // without Host
      {"GET " + kRow + "a HTTP/2.0\r\nHost: a\r\n\r\n", "400 malformed_request"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", "431 header_too_large"},
      {"PUT " + kRow +
           "a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
           "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
       "400 malformed_request"},
      {"PUT " + kRow +
           "a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "400 malformed_request"},
      {"PUT " + kRow +
           "a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
           "Content-Length: 99999999999999999999999\r\n\r\n",
       "400 malformed_request"},
  };
  for (const auto& [text, verdict] : bad) {
    HttpClient client = Connect();
    client.Send(text);
    EXPECT_EQ(Verdict(client.Receive()), verdict) << text.substr(0, 60);
    EXPECT_TRUE(client.SeesEnd());
  }
  ExpectServed();
}

TEST_F(ApiServerTest, BodiesMayComeInChunksUpToTheirLimit) {
  Serve();
  const std::string head = "PUT " + kRow +
                           "a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n";
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  HttpClient client = Connect();
  client.Send(head);
  for (int i = 0; i < 64; ++i) client.Send(chunk);
  client.Send("0\r\n\r\n");
  EXPECT_EQ(client.Receive()->body(), "4194304");
  client.Send(head);
  for (int i = 0; i < 65; ++i) client.Send(chunk);
  EXPECT_EQ(Verdict(client.Receive()), "413 body_too_large");
  EXPECT_TRUE(client.SeesEnd());
}

TEST_F(ApiServerTest, AClientThatWaitsForLeaveToSendItsBodyGetsIt) {
  Serve();
  HttpClient client = Connect();
  const std::string head =
      "PUT " + kRow + "a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n";
  client.Send(head + "Content-Type: application/json\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("abc");
  EXPECT_EQ(client.Receive()->body(), "3");
  // Or is told at once that it need not.
  client.Send(head + "Content-Type: text/plain\r\n\r\n");
  EXPECT_EQ(Verdict(client.Receive()), "415 unsupported_media_type");
}

TEST_F(ApiServerTest, ARequestThatDoesNotGoOnIsGivenUp) {
  Serve({.header_timeout = absl::Milliseconds(300), .piece_timeout = absl::Milliseconds(300)});
  HttpClient in_header = Connect();
  in_header.Send("GET " + kRow + "a HTTP/1.1\r\nHo");
  HttpClient in_body = Connect();
  in_body.Send("PUT " + kRow +
               "a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\nabc");
  EXPECT_EQ(Verdict(in_header.Receive()), "408 request_timeout");
  EXPECT_EQ(Verdict(in_body.Receive()), "408 request_timeout");
  EXPECT_TRUE(in_header.SeesEnd());
  EXPECT_TRUE(in_body.SeesEnd());
  EXPECT_TRUE(IsCounted("selvage_api_cut_total{reason=\"incomplete_request\"} 2"));
  ExpectServed();
}

TEST_F(ApiServerTest, AByteNowAndThenIsNotEnough) {
  Serve({.piece_timeout = absl::Milliseconds(300)});
  HttpClient client = Connect();
  client.Send("PUT " + kRow +
              "a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n");
  EXPECT_TRUE(Eventually(kSoon, [&] {
    client.Send("x");
    return IsCounted("selvage_api_cut_total{reason=\"incomplete_request\"} 1");
  }));
}

TEST_F(ApiServerTest, AClientThatDoesNotReadItsAnswerIsCut) {
  Serve({.write_timeout = absl::Milliseconds(300)});
  HttpClient client(server_->port(), 4096);
  client.Send(HttpClient::Request("GET", kRow + "large"));
  EXPECT_TRUE(
      Eventually(kSoon, [&] { return IsCounted("selvage_api_cut_total{reason=\"slow_reader\"} 1"); }));
  EXPECT_EQ(client.Receive(), std::nullopt);
  ExpectServed();
}

TEST_F(ApiServerTest, AnIdleConnectionEnds) {
  Serve({.idle_timeout = absl::Milliseconds(300)});
  HttpClient client = Connect();
  client.Ask("GET", kRow + "a");
  EXPECT_TRUE(client.SeesEnd());
  EXPECT_FALSE(IsCounted("selvage_api_cut_total{reason=\"incomplete_request\"} 1"));
}

TEST_F(ApiServerTest, AtTheLimitAnIdleConnectionMakesRoom) {
  Serve({.connections_max = 2});
  HttpClient first = Connect();
  first.Ask("GET", kRow + "a");
  HttpClient second = Connect();
  second.Ask("GET", kRow + "a");
  EXPECT_EQ(Connect().Ask("GET", kRow + "b").body(), "row b");
  EXPECT_TRUE(first.SeesEnd());
  EXPECT_EQ(second.Ask("GET", kRow + "c").body(), "row c");
}

TEST_F(ApiServerTest, AtTheLimitOfBusyConnectionsANewOneIsTurnedAway) {
  Serve({.connections_max = 2});
  HttpClient first = Connect();
  HttpClient second = Connect();
  for (HttpClient* client : {&first, &second}) client->Send(HttpClient::Request("GET", kRow + "later"));
  std::vector<FakeService::Done> late;
  ASSERT_TRUE(Eventually(kSoon, [&] {
    for (auto& done : service_.TakeLate()) late.push_back(done);
    return late.size() == 2;
  }));
  HttpClient third = Connect();
  EXPECT_TRUE(third.SeesEnd());
  EXPECT_TRUE(IsCounted("selvage_connections_refused_total{listener=\"api\"} 1"));
  for (auto& done : late) done({.body = "at last"});
  EXPECT_EQ(first.Receive()->body(), "at last");
  EXPECT_EQ(second.Receive()->body(), "at last");
}

TEST_F(ApiServerTest, BodiesTogetherAreBounded) {
  Serve({.memory_max = 256u << 10, .contended_timeout = absl::Milliseconds(100)});
  const std::string head =
      "PUT " + kRow +
      "a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
  HttpClient stalled = Connect();
  stalled.Send(head + std::string(500'000, 'x'));
  EXPECT_EQ(Verdict(stalled.Receive()), "503 overloaded") << "alone it is too large for this memory";
  // What stops arriving makes room for who comes after it.
  HttpClient holder = Connect();
  holder.Send(head + std::string(300'000, 'x'));
  EXPECT_TRUE(Eventually(kSoon, [&] {
    HttpClient other = Connect();
    const Response response =
        other.Ask("PUT", kRow + "a", {{"Content-Type", "application/json"}}, std::string(100'000, 'x'));
    return response.result_int() == 200;
  }));
}

TEST_F(ApiServerTest, AnswersThatNobodyTakesAreBounded) {
  Serve({.memory_max = 20u << 20});
  HttpClient first(server_->port(), 4096);
  first.Send(HttpClient::Request("GET", kRow + "large"));
  HttpClient second(server_->port(), 4096);
  second.Send(HttpClient::Request("GET", kRow + "large"));
  EXPECT_TRUE(Eventually(kSoon, [&] {
    const Response response = Connect().Ask("GET", kRow + "a");
    return Verdict(response) == "503 overloaded" && response[http::field::retry_after] == "1";
  }));
  first.Close();
  second.Close();
  EXPECT_TRUE(Eventually(kSoon, [&] { return Connect().Ask("GET", kRow + "a").result_int() == 200; }));
}

TEST_F(ApiServerTest, AServiceThatFailsIsAnAnswer) {
  Serve();
  HttpClient client = Connect();
  EXPECT_EQ(Verdict(client.Ask("GET", kRow + "throw")), "500 internal");
  EXPECT_EQ(client.Ask("GET", kRow + "a").body(), "row a");
}

TEST_F(ApiServerTest, AnAnswerAfterTheEndIsDropped) {
  Serve();
  HttpClient client = Connect();
  client.Send(HttpClient::Request("GET", kRow + "later"));
  ASSERT_TRUE(Eventually(kSoon, [&] { return service_.has_late(); }));
  server_.reset();
  EXPECT_TRUE(client.SeesEnd());
  for (auto& done : service_.TakeLate()) done({.body = "too late"});
}

TEST_F(ApiServerTest, AWatchSendsEventsAsTheyCome) {
  Serve();
  HttpClient client = Connect();
  client.Send(HttpClient::Request("GET", kWatch));
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"),
              StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"));
  EXPECT_EQ(client.ReadUntil("\n\n\r\n"), "9\r\n: alive\n\n\r\n");
  service_.Publish("data: 1\n\n");
  service_.Publish("data: 2\n\n");
  EXPECT_EQ(client.ReadUntil("\n\n\r\n"), "9\r\ndata: 1\n\n\r\n");
  EXPECT_EQ(client.ReadUntil("\n\n\r\n"), "9\r\ndata: 2\n\n\r\n");
  service_.Publish(MakeError(absl::StatusCode::kNotFound, "unknown_table", "dropped"));
  EXPECT_THAT(client.ReadUntil("0\r\n\r\n"), HasSubstr("data: unknown_table\n\n"));
  EXPECT_TRUE(client.SeesEnd());
}

TEST_F(ApiServerTest, AWatchOfAnOldClientHasNoChunks) {
  Serve();
  HttpClient client = Connect();
  client.Send("GET " + kWatch + " HTTP/1.0\r\n\r\n");
  client.ReadUntil("\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\n\n"), ": alive\n\n");
  service_.Publish(MakeError(absl::StatusCode::kNotFound, "unknown_table", "dropped"));
  EXPECT_EQ(client.ReadUntil("\n\n"), "event: problem\ndata: unknown_table\n\n");
  EXPECT_TRUE(client.SeesEnd());
}

TEST_F(ApiServerTest, AQuietWatchSaysThatItLives) {
  Serve({.heartbeat = absl::Milliseconds(50)});
  HttpClient client = Connect();
  client.Send(HttpClient::Request("GET", kWatch));
  for (int i = 0; i < 5; ++i) EXPECT_THAT(client.ReadUntil("\n\n\r\n"), HasSubstr(": alive"));
}

TEST_F(ApiServerTest, AWatchThatCannotBeginIsRefused) {
  Serve({.watchers_max = 1});
  HttpClient client = Connect();
  EXPECT_EQ(Verdict(client.Ask("GET", "/v1/tables/none/watch")), "404 unknown_table");
  HttpClient watching = Connect();
  watching.Send(HttpClient::Request("GET", kWatch));
  watching.ReadUntil(": alive");
  EXPECT_EQ(Verdict(client.Ask("GET", kWatch)), "503 overloaded");
  // The place is free again when the client goes, without an event that would tell.
  watching.Close();
  EXPECT_TRUE(Eventually(kSoon, [&] { return service_.watches() == 0; }));
  client.Send(HttpClient::Request("GET", kWatch));
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ApiServerTest, AWatchThatIsNotReadIsCut) {
  Serve({.write_timeout = absl::Milliseconds(300)});
  HttpClient client(server_->port(), 4096);
  client.Send(HttpClient::Request("GET", kWatch));
  client.ReadUntil(": alive");
  service_.Publish("data: " + std::string(16u << 20, 'x') + "\n\n");
  EXPECT_TRUE(
      Eventually(kSoon, [&] { return IsCounted("selvage_api_cut_total{reason=\"slow_reader\"} 1"); }));
  EXPECT_TRUE(Eventually(kSoon, [&] { return service_.watches() == 0; }));
  ExpectServed();
}

TEST_F(ApiServerTest, StoppingCutsWatchesAndIdleConnections) {
  Serve();
  HttpClient watching = Connect();
  watching.Send(HttpClient::Request("GET", kWatch));
  watching.ReadUntil(": alive");
  HttpClient idle = Connect();
  idle.Ask("GET", kRow + "a");
  server_->Stop();
  EXPECT_TRUE(watching.SeesEnd());
  EXPECT_TRUE(idle.SeesEnd());
  EXPECT_EQ(service_.watches(), 0);
}

TEST_F(ApiServerTest, APortThatIsTakenIsAnError) {
  Serve();
  EXPECT_EQ(ErrorKind(Server::Bind({.port = server_->port()}).status()), "api_listen_failed");
  EXPECT_EQ(ErrorKind(Server::Bind({.host = "no-address"}).status()), "api_listen_failed");
}

TEST_F(ApiServerTest, ServesTls) {
  namespace ssl = boost::asio::ssl;
  test::TestDir dir;
  ASSERT_TRUE(InitAuthority(dir.path(), "test.selvage", absl::Hours(1000), absl::Now()).ok());
  Serve(
      {.tls =
           Issue(dir.path(), {Role::kEdge, "rig", absl::Hours(100), {}, {}}, dir.path(), absl::Now()).value(),
       .header_timeout = absl::Milliseconds(300)});
  boost::asio::io_context io;
  ssl::context context(ssl::context::tls_client);
  context.load_verify_file(dir.File("ca.crt"));
  ssl::stream<boost::asio::ip::tcp::socket> stream(io, context);
  stream.set_verify_mode(ssl::verify_peer);
  stream.lowest_layer().connect({boost::asio::ip::address_v4::loopback(), server_->port()});
  stream.handshake(ssl::stream_base::client);
  for (int i = 0; i < 2; ++i) {
    boost::asio::write(stream, boost::asio::buffer(HttpClient::Request("GET", kRow + "a")));
    boost::beast::flat_buffer buffer;
    Response response;
    http::read(stream, buffer, response);
    EXPECT_EQ(response.body(), "row a");
  }
  boost::asio::write(stream, boost::asio::buffer(HttpClient::Request("GET", kWatch)));
  std::string text;
  boost::asio::read_until(stream, boost::asio::dynamic_buffer(text), ": alive");
  // Who does not speak TLS is cut.
  HttpClient plain = Connect();
  plain.Send(HttpClient::Request("GET", kRow + "a"));
  EXPECT_EQ(plain.Receive(), std::nullopt);
  HttpClient silent = Connect();
  EXPECT_TRUE(silent.SeesEnd());
}

}  // namespace
}  // namespace selvage::api
