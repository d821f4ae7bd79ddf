#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace selvage {

struct HttpReply {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};
/// Called on the endpoint's thread, one at a time; must not block for long.
using HttpHandler = std::function<HttpReply()>;

class Health;
class Metrics;

/// A small HTTP/1.1 server without TLS or authentication, for scrapers and probes: GET of a few fixed paths.
/// One thread serves all connections, so a slow client costs a connection and no more. At the limit the
/// longest idle or slowest connection, the oldest one, makes room for a new one. A request that is not whole
/// within the timeout is cut.
class HttpEndpoint {
 public:
  struct Options {
    std::string host = "127.0.0.1";  ///< an IP address, or "localhost"
    uint16_t port = 0;               ///< 0: one that the system chooses
    /// By path. Other paths get 404, other methods than GET 405.
    std::map<std::string, HttpHandler> handlers = {};
    size_t connections_max = 64;
    size_t header_bytes_max = 8u << 10;
    absl::Duration timeout = absl::Seconds(10);  ///< for a request to arrive and for a reply to leave
  };

  /// Binds and starts serving. Errors: "http_listen_failed" with the address and the system's reason.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(Options options);
  /// Stops.
  ~HttpEndpoint();

  /// The port it is bound to.
  uint16_t port() const;
  /// Cuts all connections and joins the thread; waits for no client, only for a handler that runs. From one
  /// thread.
  void Stop();

 private:
  class Server;
  explicit HttpEndpoint(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

/// Handlers for /metrics, /healthz and /readyz. Both objects must outlive the endpoint.
std::map<std::string, HttpHandler> OperatorHandlers(const Metrics& metrics, const Health& health);

}  // namespace selvage
