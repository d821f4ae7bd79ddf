#include "fabric/api/server.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>
#include <utility>

#include "fabric/api/connection.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/security/server_tls.h"
#include "fabric/telemetry/log.h"
#include "fabric/telemetry/log_limit.h"

namespace selvage::api {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::string_view kApiRefusedHelp =
    "Connections that were closed at once, since there were as many as may be";
constexpr std::string_view kApiMaxHelp = "Connections that are served at the same time, at most";
/// Between looks for what is overdue.
constexpr absl::Duration kLookEvery = absl::Milliseconds(100);
constexpr absl::Duration kFollowTlsEvery = absl::Seconds(1);
/// Between accepting again after the system ran out of descriptors.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);
/// For requests under way when the server stops.
constexpr absl::Duration kStopMax = absl::Seconds(5);

absl::Status ApiListenFailed(const Server::Options& options, std::string_view why) {
  return MakeError(absl::StatusCode::kUnavailable, "api_listen_failed",
                   fmt::format("cannot listen on {}:{}: {}", options.host, options.port, why),
                   "choose another api.listen, or end what holds the port", Retry::kYes);
}

}  // namespace

RequestMetrics::RequestMetrics(Metrics& metrics) : metrics_(metrics) {
  for (const Route& route : Routes()) {
    if (route.action == Action::kWatch) continue;
    seconds_.emplace(&route, metrics.AddHistogram("selvage_api_request_seconds",
                                                  "Time from when a request was read to its answer",
                                                  {{"route", std::string(route.id)}}));
  }
}

void RequestMetrics::Count(const Route* route, const Reply& reply) {
  metrics_.CountError(reply.error);
  const auto key = std::pair(route, reply.status);
  auto known = requests_.find(key);
  if (known == requests_.end()) {
    const std::string name(route == nullptr ? "none" : route->id);
    known =
        requests_
            .emplace(key, metrics_.AddCounter("selvage_api_requests_total", "Requests over HTTP",
                                              {{"route", name}, {"status", fmt::to_string(reply.status)}}))
            .first;
  }
  known->second.Add();
}

void RequestMetrics::Observe(const Route& route, absl::Duration taken) {
  seconds_.at(&route).Observe(absl::ToDoubleSeconds(taken));
}

void RequestMetrics::CountCut(std::string_view reason) {
  metrics_
      .AddCounter("selvage_api_cut_total", "Clients over HTTP that were cut since they were too slow",
                  {{"reason", std::string(reason)}})
      .Add();
}

class Server::Impl {
 public:
  explicit Impl(Options options)
      : shared_(std::make_shared<Shared>(std::move(options))), acceptor_(std::in_place, shared_->context()) {}
  ~Impl() { Stop(); }

  absl::Status Bind() {
    const Options& options = shared_->options;
    error_code error;
    const auto address =
        asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
    if (error) return ApiListenFailed(options, "not an IP address");
    const tcp::endpoint endpoint(address, options.port);
    acceptor_->open(endpoint.protocol(), error);
    if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && address.is_v6()) acceptor_->set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
    if (!error) port_ = acceptor_->local_endpoint(error).port();
    if (error) return ApiListenFailed(options, error.message());
    if (options.tls) tls_.emplace(*options.tls, "HTTP clients");
    return absl::OkStatus();
  }

  uint16_t port() const { return port_; }

  void Serve(Service& service, Metrics& metrics) {
    shared_->service = &service;
    shared_->metrics.emplace(metrics);
    shared_->open = metrics.AddGauge("selvage_api_connections", "HTTP clients that are connected");
    shared_->watching = metrics.AddGauge("selvage_api_watches", "Watches over HTTP that are open");
    turned_away_ =
        metrics.AddCounter("selvage_connections_refused_total", kApiRefusedHelp, {{"listener", "api"}});
    metrics.AddGauge("selvage_connections_max", kApiMaxHelp, {{"listener", "api"}})
        .Set(static_cast<double>(shared_->options.connections_max));
    asio::co_spawn(shared_->context(), Accept(), asio::detached);
    asio::co_spawn(shared_->context(), Look(), asio::detached);
    service.OnChange([this] { WakeWatches(); });
    thread_ = std::thread([this] { shared_->context().run(); });
  }

  void Stop() {
    if (std::exchange(stopped_, true)) return;
    if (thread_.joinable()) {
      shared_->service->OnChange(nullptr);
      shared_->Post([this] {
        shared_->stopping = true;
        error_code ignored;
        acceptor_->close(ignored);
        const auto all = shared_->connections;  // closing may remove one
        for (Connection* connection : all) connection->Close();
      });
      if (!shared_->AwaitNone(kStopMax)) LogWarning("requests of HTTP clients did not end in time", {});
      shared_->workers.Join();
      shared_->context().stop();
      thread_.join();
    }
    acceptor_.reset();
    shared_->DropContext();
  }

 private:
  void WakeWatches() {
    // Commits come faster than watches are served: those that come before that are one.
    if (waking_.exchange(true)) return;
    shared_->Post([this] {
      waking_ = false;
      for (Connection* connection : shared_->connections) connection->Wake();
    });
  }

  void Take(tcp::socket socket) {
    asio::ssl::context* const tls = tls_ ? tls_->context() : nullptr;
    if (tls_ && tls == nullptr) return turned_away_->Add();  // never without the TLS that was asked for
    if (shared_->connections.size() >= shared_->options.connections_max && !shared_->CutIdle()) {
      turned_away_->Add();
      return SayFull();
    }
    std::make_shared<Connection>(shared_, std::move(socket), tls)->Start();
  }

  /// The socket closes behind it.
  void SayFull() {
    const auto line = full_log_.Admit(SystemClock().Monotonic());
    if (!line) return;
    line->Write(LogLevel::kWarning,
                "an HTTP client is turned away: there are as many connections as this process can serve",
                {{"connections_max", shared_->options.connections_max},
                 {"hint", "end what connects without need, or raise the limit of open files"}});
  }

  Awaitable<void> Accept() {
    while (acceptor_->is_open()) {
      error_code error;
      tcp::socket socket = co_await acceptor_->async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (!acceptor_->is_open()) break;
      if (!error) {
        Take(std::move(socket));
      } else {
        asio::steady_timer pause(shared_->context(), absl::ToChronoMilliseconds(kAcceptPause));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
      }
    }
  }

  Awaitable<void> Look() {
    asio::steady_timer timer(shared_->context());
    absl::Duration follow_at = SystemClock().Monotonic() + kFollowTlsEvery;
    while (acceptor_->is_open()) {
      error_code ignored;
      timer.expires_after(absl::ToChronoMilliseconds(kLookEvery));
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      const absl::Duration now = SystemClock().Monotonic();
      for (Connection* connection : shared_->connections) connection->CheckDeadline(now);
      if (!tls_ || now < follow_at) continue;
      tls_->Follow();
      follow_at = now + kFollowTlsEvery;
    }
  }

  const std::shared_ptr<Shared> shared_;
  std::optional<tcp::acceptor> acceptor_;  // goes before the context
  uint16_t port_ = 0;
  std::optional<Counter> turned_away_;
  LogLimit full_log_;
  std::optional<ServerTls> tls_;  // the server's thread's, once it serves
  std::atomic<bool> waking_{false};
  bool stopped_ = false;
  std::thread thread_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Bind(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  SELVAGE_RETURN_IF_ERROR(impl->Bind());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

uint16_t Server::port() const {
  return impl_->port();
}
void Server::Serve(Service& service, Metrics& metrics) {
  impl_->Serve(service, metrics);
}
void Server::Stop() {
  impl_->Stop();
}

}  // namespace selvage::api
