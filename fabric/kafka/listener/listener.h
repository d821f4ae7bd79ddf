#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/kafka/handlers/context.h"
#include "fabric/security/tls_files.h"

namespace selvage::kafka {

/// Serves Kafka clients over TCP. Responses leave in the order of their requests; a connection's requests are
/// handled one after another, except that a produce request may begin when the ones before it are in the
/// commit queue. What cannot be read ends the connection, as with Kafka.
class Listener {
 public:
  struct Options {
    std::string host = "127.0.0.1";  ///< an IP address, or "localhost"; "::" takes IPv4 as well
    uint16_t port = 0;               ///< 0: one that the system chooses
    /// Serves TLS, without asking clients for certificates. A renewed certificate is taken within seconds.
    std::optional<TlsFiles> tls;
    size_t connections_max = 10'000;
    size_t request_max = 16u << 20;  ///< bytes of one request
    size_t memory_max =
        64u << 20;  ///< bytes of all requests that are read or handled; a quarter of it is for small ones
    size_t parked_max =
        16u << 20;  ///< bytes of requests that wait for something to happen, such as long polls
    size_t responses_memory_max =
        64u << 20;              ///< bytes of responses that are made or that clients have not taken yet
    size_t responses_max = 64;  ///< requests of one connection that wait for their response
    absl::Duration idle_timeout = absl::Minutes(10);
    absl::Duration request_timeout = absl::Seconds(30);  ///< for each 64 KiB of a request that has begun
    absl::Duration contended_timeout =
        absl::Seconds(2);  ///< the same, while others wait for the memory it holds
    size_t threads = 2;
  };

  /// Binds. Errors: "kafka_listen_failed" with the address and the system's reason, those of the TLS files.
  static absl::StatusOr<std::unique_ptr<Listener>> Bind(Options options);
  /// Stops.
  ~Listener();

  uint16_t port() const;
  /// Begins to serve; once. `context` must outlive the listener.
  void Serve(Context& context);
  /// Cuts all connections and joins the threads. Whatever answers calls late must have done so before, or
  /// drop its callbacks.
  void Stop();

 private:
  class Server;
  explicit Listener(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

}  // namespace selvage::kafka
