#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/api/service.h"
#include "fabric/security/tls_files.h"
#include "fabric/telemetry/metrics.h"

namespace selvage::api {

/// Serves HTTP/1.1 without authentication. One thread does what concerns sockets, some more answer. What a
/// client does too slowly is cut; whoever stops reading a watch is disconnected, and may resume.
class Server {
 public:
  struct Options {
    std::string host = "127.0.0.1";  ///< an IP address, or "localhost"; "::" takes IPv4 as well
    uint16_t port = 0;               ///< 0: one that the system chooses
    /// Serves TLS, without asking clients for certificates. A renewed certificate is taken within seconds.
    std::optional<TlsFiles> tls = {};
    size_t connections_max = 1000;
    size_t watchers_max = 256;  ///< of the connections
    /// Bytes of bodies that arrive and of answers that clients have not taken. May be passed by one answer
    /// for each thread.
    size_t memory_max = 64u << 20;
    size_t header_bytes_max = 16u << 10;
    absl::Duration header_timeout = absl::Seconds(10);  ///< for a request's header, and a TLS handshake
    absl::Duration piece_timeout = absl::Seconds(10);   ///< for each 64 KiB of a body that arrives
    absl::Duration write_timeout = absl::Seconds(30);   ///< for each 64 KiB that a client takes
    absl::Duration idle_timeout = absl::Minutes(2);     ///< between requests
    absl::Duration heartbeat = absl::Seconds(15);       ///< of a watch without events
    /// So long without a byte, a body that arrives makes room for others when memory is used up.
    absl::Duration contended_timeout = absl::Seconds(2);
    size_t threads = 4;
  };

  /// Binds. Errors: "api_listen_failed" with the address and the system's reason.
  static absl::StatusOr<std::unique_ptr<Server>> Bind(Options options);
  /// Stops.
  ~Server();

  uint16_t port() const;
  /// Begins to serve; once. Both must outlive the server.
  void Serve(Service& service, Metrics& metrics);
  /// Cuts all connections and joins the threads. Answers that are under way are waited for a few seconds;
  /// those that come later are dropped.
  void Stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace selvage::api
