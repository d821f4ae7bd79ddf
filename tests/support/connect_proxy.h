#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace selvage::test {

/// An HTTP proxy on 127.0.0.1 that knows only `CONNECT host:port HTTP/1.1`. Whatever the host, it connects to
/// that port of 127.0.0.1, so that a name which no resolver knows proves that the proxy was used. Anything
/// but a well-formed CONNECT gets 405 or 400, an unreachable port 502. Safe to use from several threads. Owns
/// one thread.
class ConnectProxy {
 public:
  static absl::StatusOr<std::unique_ptr<ConnectProxy>> Start();
  /// Resets all connections.
  ~ConnectProxy();

  uint16_t port() const;
  /// The `host:port` of every well-formed CONNECT so far, in order, also of those that met a 502.
  std::vector<std::string> requests() const;
  /// Tunnels that are open now.
  uint64_t open_tunnels() const;

 private:
  class Impl;
  explicit ConnectProxy(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace selvage::test
