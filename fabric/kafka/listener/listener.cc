#include "fabric/kafka/listener/listener.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <map>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/kafka/listener/connection.h"
#include "fabric/security/server_tls.h"
#include "fabric/telemetry/log.h"
#include "fabric/telemetry/log_limit.h"

namespace selvage::kafka {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::string_view kRefusedHelp =
    "Connections that were closed at once, since there were as many as may be";
constexpr std::string_view kMaxHelp = "Connections that are served at the same time, at most";
constexpr absl::Duration kSweepEvery = absl::Seconds(1);
/// Between accepting again after the system ran out of descriptors.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

absl::Status ListenFailed(const Listener::Options& options, std::string_view why) {
  return MakeError(absl::StatusCode::kUnavailable, "kafka_listen_failed",
                   fmt::format("cannot listen on {}:{}: {}", options.host, options.port, why),
                   "choose another kafka.listen, or end what holds the port", Retry::kYes);
}

/// For requests under way when the listener stops.
constexpr absl::Duration kStopMax = absl::Seconds(5);

}  // namespace

class Listener::Server {
 public:
  explicit Server(Options options)
      : options_(std::move(options)),
        small_memory_(options_.memory_max / 4, kSmallRequest),
        large_memory_(options_.memory_max - options_.memory_max / 4, options_.request_max),
        parked_memory_(options_.parked_max, 0),
        response_memory_(options_.responses_memory_max),
        pool_(options_.threads),
        acceptor_(asio::make_strand(pool_)) {}
  ~Server() { Stop(); }

  absl::Status Bind() {
    boost::system::error_code error;
    const auto address =
        asio::ip::make_address(options_.host == "localhost" ? "127.0.0.1" : options_.host, error);
    if (error) return ListenFailed(options_, "not an IP address");
    const tcp::endpoint endpoint(address, options_.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && address.is_v6()) acceptor_.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return ListenFailed(options_, error.message());
    if (options_.tls) tls_.emplace(*options_.tls, "Kafka clients");
    return absl::OkStatus();
  }

  uint16_t port() const { return acceptor_.local_endpoint().port(); }

  void Serve(Context& context) {
    Metrics& metrics = context.metrics;
    shared_.emplace(
        Shared{options_, context, small_memory_, large_memory_, parked_memory_, response_memory_,
               metrics.AddCounter("selvage_kafka_refused_total",
                                  "Connections of Kafka clients that were closed because of what they sent"),
               metrics.AddCounter("selvage_kafka_received_bytes_total", "Bytes of requests of Kafka clients"),
               metrics.AddCounter("selvage_kafka_sent_bytes_total", "Bytes of responses to Kafka clients"),
               refused_log_, handshake_log_});
    turned_away_.emplace(
        metrics.AddCounter("selvage_connections_refused_total", kRefusedHelp, {{"listener", "kafka"}}));
    metrics.AddGauge("selvage_connections_max", kMaxHelp, {{"listener", "kafka"}})
        .Set(static_cast<double>(options_.connections_max));
    open_ = std::make_unique<Gauge>(
        metrics.AddGauge("selvage_kafka_connections", "Kafka clients that are connected"));
    asio::co_spawn(acceptor_.get_executor(), Accept(), asio::detached);
    asio::co_spawn(acceptor_.get_executor(), Sweep(), asio::detached);
  }

  void Stop() {
    if (std::exchange(stopped_, true)) return;
    asio::post(acceptor_.get_executor(), [this] {
      boost::system::error_code ignored;
      acceptor_.close(ignored);
      for (auto& [number, connection] : Connections()) connection->Close();
    });
    // Handlers see that their connection is gone, or are called back by the committer.
    if (!AwaitAllGone()) LogWarning("requests of Kafka clients did not end in time", {});
    pool_.stop();
    pool_.join();
  }

 private:
  bool AwaitAllGone() {
    absl::MutexLock lock(&mutex_);
    auto all_gone = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return connections_.empty(); };
    return mutex_.AwaitWithTimeout(absl::Condition(&all_gone), kStopMax);
  }

  std::map<uint64_t, std::shared_ptr<Connection>> Connections() {
    absl::MutexLock lock(&mutex_);
    std::map<uint64_t, std::shared_ptr<Connection>> alive;
    for (auto& [number, weak] : connections_) {
      if (auto connection = weak.lock()) alive[number] = connection;
    }
    return alive;
  }

  void Take(tcp::socket socket) {
    asio::ssl::context* const tls = tls_ ? tls_->context() : nullptr;
    if (tls_ && tls == nullptr)
      return shared_->requests_refused.Add();  // never without the TLS that was asked for
    uint64_t number;
    {
      absl::MutexLock lock(&mutex_);
      if (connections_.size() >= options_.connections_max) {
        turned_away_->Add();
        return SayFull();
      }
      number = ++last_number_;
      connections_[number];
      open_->Set(static_cast<double>(connections_.size()));
    }
    auto connection = std::make_shared<Connection>(*shared_, std::move(socket), tls, [this, number] {
      absl::MutexLock lock(&mutex_);
      connections_.erase(number);
      open_->Set(static_cast<double>(connections_.size()));
    });
    {
      absl::MutexLock lock(&mutex_);
      connections_[number] = connection;
    }
    connection->Start();
  }

  /// The socket closes behind it.
  void SayFull() {
    const auto line = full_log_.Admit(SystemClock().Monotonic());
    if (!line) return;
    line->Write(LogLevel::kWarning,
                "a Kafka client is turned away: there are as many connections as this process can serve",
                {{"connections_max", options_.connections_max},
                 {"hint", "end what connects without need, or raise the limit of open files"}});
  }

  Awaitable<void> Accept() {
    while (acceptor_.is_open()) {
      boost::system::error_code error;
      tcp::socket socket = co_await acceptor_.async_accept(asio::make_strand(pool_),
                                                           asio::redirect_error(asio::use_awaitable, error));
      if (!acceptor_.is_open()) break;
      if (!error) {
        Take(std::move(socket));
      } else {
        asio::steady_timer pause(acceptor_.get_executor(), absl::ToChronoMilliseconds(kAcceptPause));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      }
    }
  }

  Awaitable<void> Sweep() {
    asio::steady_timer timer(acceptor_.get_executor());
    while (acceptor_.is_open()) {
      boost::system::error_code ignored;
      timer.expires_after(absl::ToChronoMilliseconds(kSweepEvery));
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      for (auto& [number, connection] : Connections()) connection->CloseIfStale(SystemClock().Monotonic());
      if (tls_) tls_->Follow();
    }
  }

  const Options options_;
  RequestMemory small_memory_;
  RequestMemory large_memory_;
  RequestMemory parked_memory_;
  ResponseMemory response_memory_;
  std::optional<Shared> shared_;
  std::optional<Counter> turned_away_;
  LogLimit full_log_;
  LogLimit refused_log_;
  LogLimit handshake_log_;
  std::unique_ptr<Gauge> open_;
  std::optional<ServerTls> tls_;  // the acceptor's alone, once it serves
  absl::Mutex mutex_;
  std::map<uint64_t, std::weak_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ = false;
  asio::thread_pool pool_;  // goes before what its coroutines use
  tcp::acceptor acceptor_;
};

Listener::Listener(std::unique_ptr<Server> server) : server_(std::move(server)) {}
Listener::~Listener() = default;

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(Options options) {
  auto server = std::make_unique<Server>(std::move(options));
  SELVAGE_RETURN_IF_ERROR(server->Bind());
  return std::unique_ptr<Listener>(new Listener(std::move(server)));
}

uint16_t Listener::port() const {
  return server_->port();
}
void Listener::Serve(Context& context) {
  server_->Serve(context);
}
void Listener::Stop() {
  server_->Stop();
}

}  // namespace selvage::kafka
