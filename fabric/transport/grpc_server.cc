#include "fabric/transport/grpc_server.h"

#include <fmt/format.h>
#include <grpcpp/server_builder.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <utility>

#include "absl/synchronization/notification.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"
#include "fabric/telemetry/log_limit.h"
#include "fabric/transport/codec.h"
#include "fabric/transport/connection_gate.h"

namespace selvage {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// Between accepting again after the system refused.
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
/// For a TLS handshake; an honest peer on the slowest link needs a few seconds.
constexpr int kHandshakeTimeoutMs = 20'000;
/// What arrives unacknowledged for so long is a connection that is gone.
constexpr unsigned kUserTimeoutMs = 20'000;
/// After which a connection without calls is closed; clients dial again by themselves.
constexpr int kIdleMs = 600'000;
constexpr int kCallsMax = 256;  // of one connection, at the same time

absl::Status ListenFailed(const std::string& address, std::string_view why) {
  return MakeError(absl::StatusCode::kUnavailable, "listen_failed",
                   fmt::format("cannot listen at {}: {}", address, why),
                   "another process may hold the port, or the address is not this machine's", Retry::kYes);
}

}  // namespace

/// Accepts connections and hands them to gRPC. Everything but the ways in runs on its strand.
class GrpcServer::Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  Acceptor(asio::any_io_executor executor, const Options& options)
      : strand_(asio::make_strand(std::move(executor))),
        gate_(options.connections_max),
        max_(options.connections_max) {
    if (options.metrics == nullptr) return;
    refused_.emplace(options.metrics->AddCounter(
        "selvage_connections_refused_total",
        "Connections that were closed at once, since there were as many as may be", {{"listener", "grpc"}}));
    options.metrics
        ->AddGauge("selvage_connections_max", "Connections that are served at the same time, at most",
                   {{"listener", "grpc"}})
        .Set(static_cast<double>(max_));
  }

  /// The port, the same for every address that the host's name means.
  absl::StatusOr<int> Listen(const std::string& address) {
    const size_t colon = address.rfind(':');
    if (colon == std::string::npos) return ListenFailed(address, "no port");
    std::string host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    error_code error;
    const auto found = tcp::resolver(strand_).resolve(
        host, address.substr(colon + 1), tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error) return ListenFailed(address, error.message());
    uint16_t port = 0;
    for (const auto& entry : found) {
      tcp::endpoint endpoint = entry.endpoint();
      if (port != 0) endpoint.port(port);
      tcp::acceptor acceptor(strand_);
      if (!Bind(acceptor, endpoint, error)) continue;
      port = acceptor.local_endpoint().port();
      acceptors_.push_back(std::move(acceptor));
    }
    if (acceptors_.empty()) return ListenFailed(address, error.message());
    return port;
  }

  void Serve(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server) {
    server_ = std::move(server);
    asio::post(strand_, [self = shared_from_this()] {
      for (tcp::acceptor& acceptor : self->acceptors_) self->Accept(acceptor);
    });
  }

  /// After it returns no connection is handed on.
  void Stop() {
    if (std::exchange(stopped_, true)) return;
    absl::Notification closed;
    asio::post(strand_, [this, &closed] {
      error_code ignored;
      for (tcp::acceptor& acceptor : acceptors_) acceptor.close(ignored);
      server_.reset();
      closed.Notify();
    });
    closed.WaitForNotification();
  }

 private:
  static bool Bind(tcp::acceptor& acceptor, const tcp::endpoint& endpoint, error_code& error) {
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.address().is_v6()) {
      acceptor.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), error);
    }
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    return !error;
  }

  void Accept(tcp::acceptor& acceptor) {
    acceptor.async_accept(
        strand_, [self = shared_from_this(), &acceptor](const error_code& error, tcp::socket socket) {
          if (!acceptor.is_open()) return;
          if (!error) {
            self->Take(std::move(socket));
            return self->Accept(acceptor);
          }
          auto pause = std::make_shared<asio::steady_timer>(self->strand_, kAcceptPause);
          pause->async_wait([self, &acceptor, pause](const error_code&) {
            if (acceptor.is_open()) self->Accept(acceptor);
          });
        });
  }

  void Take(tcp::socket socket) {
    if (!gate_.Admit(socket.native_handle())) {
      if (refused_) refused_->Add();
      if (const auto line = log_.Admit(SystemClock().Monotonic())) {
        line->Write(
            LogLevel::kWarning,
            "a link or an operator is turned away: there are as many connections as this process can serve",
            {{"connections_max", max_},
             {"hint", "end what connects without need, or raise the limit of open files"}});
      }
      return;
    }
    error_code ignored;
    socket.native_non_blocking(true, ignored);
    socket.set_option(tcp::no_delay(true), ignored);
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs,
                 sizeof kUserTimeoutMs);
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = socket.release(ignored);
    server_->HandleNewConnection(&connection);
  }

  const asio::any_io_executor strand_;
  ConnectionGate gate_;
  const size_t max_;
  std::optional<Counter> refused_;
  LogLimit log_;
  std::vector<tcp::acceptor> acceptors_;  // none is added once they accept
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server_;
  bool stopped_ = false;
};

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const Options& options,
                                                              asio::any_io_executor executor,
                                                              const std::vector<grpc::Service*>& services) {
  auto acceptor = std::make_shared<Acceptor>(std::move(executor), options);
  SELVAGE_ASSIGN_OR_RETURN(const int port, acceptor->Listen(options.address));
  grpc::ServerBuilder builder;
  auto hand_over = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, options.credentials);
  for (grpc::Service* service : services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(static_cast<int>(std::max(options.request_max, kFrameBytesMax)));
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kCallsMax);
  // Edges ping every 30 s, also while nothing is sent; a stricter server would cut them off for it.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return ListenFailed(options.address, "gRPC does not start");
  acceptor->Serve(std::move(hand_over));
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(server), std::move(acceptor), port));
}

GrpcServer::~GrpcServer() {
  Shutdown(absl::ZeroDuration());
}

std::shared_ptr<grpc::Channel> GrpcServer::InProcessChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  return server_->InProcessChannel(arguments);
}

void GrpcServer::Shutdown(absl::Duration deadline) {
  acceptor_->Stop();
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(deadline));
}

}  // namespace selvage
