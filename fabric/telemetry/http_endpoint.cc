#include "fabric/telemetry/http_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <thread>

#include "fabric/base/error.h"
#include "fabric/telemetry/health.h"
#include "fabric/telemetry/log.h"
#include "fabric/telemetry/metrics.h"

namespace selvage {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

/// After a reply that leaves part of the request unread: closing at once would reset the connection and could
/// take the reply away before the client reads it. So much and so long is read and dropped first.
constexpr size_t kDrainBytesMax = 64u << 10;
constexpr auto kDrainTime = std::chrono::seconds(1);
constexpr auto kAcceptRetryPause = std::chrono::milliseconds(100);

absl::Status ListenError(std::string_view host, uint16_t port, std::string_view reason) {
  return MakeError(absl::StatusCode::kUnavailable, "http_listen_failed",
                   fmt::format("cannot serve HTTP on {}:{}: {}", host, port, reason),
                   "choose a free address of this machine in http.listen");
}

}  // namespace

class HttpEndpoint::Server {
 public:
  explicit Server(Options options) : options_(std::move(options)) {}

  absl::Status Listen() {
    error_code error;
    const auto address =
        asio::ip::make_address(options_.host == "localhost" ? "127.0.0.1" : options_.host, error);
    if (error) return ListenError(options_.host, options_.port, "not an IP address");
    const tcp::endpoint endpoint(address, options_.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (error) return ListenError(options_.host, options_.port, error.message());
    return absl::OkStatus();
  }

  void Run() {
    asio::co_spawn(context_, Accept(), asio::detached);
    thread_ = std::thread([this] { context_.run(); });
  }

  void Stop() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  uint16_t port() const { return port_; }

 private:
  /// Oldest first. The stream belongs to the coroutine that serves it.
  using Connections = std::list<beast::tcp_stream*>;
  using Request = http::request_parser<http::empty_body>;
  using Response = http::response<http::string_body>;

  asio::awaitable<void> Accept() {
    for (;;) {
      error_code error;
      tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error) {  // out of descriptors, most likely: without a pause this would spin
        asio::steady_timer pause(context_, kAcceptRetryPause);
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      if (connections_.size() >= options_.connections_max) {
        connections_.front()->close();
        connections_.pop_front();
      }
      asio::co_spawn(context_, Serve(std::move(socket)), asio::detached);
    }
  }

  asio::awaitable<void> Serve(tcp::socket socket) {
    beast::tcp_stream stream(std::move(socket));
    connections_.push_back(&stream);
    beast::flat_buffer buffer(options_.header_bytes_max * 2);
    while (co_await ServeOne(stream, buffer)) {
    }
    error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    co_await Drain(stream);
    connections_.remove(&stream);
  }

  /// One request and its reply; true when another may follow on the connection.
  asio::awaitable<bool> ServeOne(beast::tcp_stream& stream, beast::flat_buffer& buffer) {
    Request request;
    request.header_limit(static_cast<uint32_t>(options_.header_bytes_max));
    error_code error;
    stream.expires_after(absl::ToChronoNanoseconds(options_.timeout));
    co_await http::async_read_header(stream, buffer, request,
                                     asio::redirect_error(asio::use_awaitable, error));
    Response response;
    if (error) {
      // Anything that is not the parser's verdict is the connection's end.
      if (error.category() != http::make_error_code(http::error::bad_method).category()) co_return false;
      if (error == http::error::end_of_stream || error == http::error::partial_message) co_return false;
      const bool too_large = error == http::error::header_limit || error == http::error::buffer_overflow;
      response = Plain(too_large ? http::status::request_header_fields_too_large : http::status::bad_request);
    } else {
      response = Answer(request.get());
    }
    const bool more = !error && request.is_done() && request.keep_alive();
    response.keep_alive(more);
    response.prepare_payload();
    // What answers a HEAD says how long the body would be.
    const bool header_only = request.is_header_done() && request.get().method() == http::verb::head;
    const http::response<http::empty_body> header(response.base());
    auto done = asio::redirect_error(asio::use_awaitable, error);
    stream.expires_after(absl::ToChronoNanoseconds(options_.timeout));
    if (header_only) {
      co_await http::async_write(stream, header, done);
    } else {
      co_await http::async_write(stream, response, done);
    }
    co_return more && !error;
  }

  Response Answer(const http::request<http::empty_body>& request) const {
    const std::string target(request.target());
    const auto handler = options_.handlers.find(target.substr(0, target.find('?')));
    if (handler == options_.handlers.end()) return Plain(http::status::not_found);
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      Response response = Plain(http::status::method_not_allowed);
      response.set(http::field::allow, "GET, HEAD");
      return response;
    }
    try {
      HttpReply reply = handler->second();
      Response response(static_cast<http::status>(reply.status), 11, std::move(reply.body));
      response.set(http::field::content_type, reply.content_type);
      response.set(http::field::cache_control, "no-store");
      return response;
    } catch (const std::exception& e) {
      LogError("an HTTP handler failed", {{"path", target}, {"error", e.what()}});
      return Plain(http::status::internal_server_error);
    }
  }

  Response Plain(http::status status) const {
    std::string body = std::string(http::obsolete_reason(status)) + "\n";
    if (status == http::status::not_found) {
      body += "Served here:";
      for (const auto& [path, handler] : options_.handlers) body += " " + path;
      body += "\n";
    }
    Response response(status, 11, std::move(body));
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    return response;
  }

  static asio::awaitable<void> Drain(beast::tcp_stream& stream) {
    stream.expires_after(kDrainTime);
    char dropped[4096];
    for (size_t total = 0; total < kDrainBytesMax;) {
      error_code error;
      total += co_await stream.async_read_some(asio::buffer(dropped),
                                               asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
    }
  }

  const Options options_;
  Connections
      connections_;  ///< the thread's own; before the context, whose end ends the coroutines that use it
  asio::io_context context_{1};
  tcp::acceptor acceptor_{context_};
  uint16_t port_ = 0;
  std::thread thread_;
};

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(Options options) {
  auto server = std::make_unique<Server>(std::move(options));
  SELVAGE_RETURN_IF_ERROR(server->Listen());
  server->Run();
  return std::unique_ptr<HttpEndpoint>(new HttpEndpoint(std::move(server)));
}

HttpEndpoint::HttpEndpoint(std::unique_ptr<Server> server) : server_(std::move(server)) {}
HttpEndpoint::~HttpEndpoint() {
  Stop();
}
uint16_t HttpEndpoint::port() const {
  return server_->port();
}
void HttpEndpoint::Stop() {
  server_->Stop();
}

std::map<std::string, HttpHandler> OperatorHandlers(const Metrics& metrics, const Health& health) {
  return {
      {"/metrics",
       [&metrics] {
         return HttpReply{.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics.Text()};
       }},
      {"/healthz", [&health] { return health.Live(); }},
      {"/readyz", [&health] { return health.Ready(); }},
  };
}

}  // namespace selvage
