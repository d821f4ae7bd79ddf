#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"

namespace selvage::test {

/// Keeps a TCP port of 127.0.0.1 for one test. The port stays bound but not listened on, so the system gives
/// it to nobody else, connecting to it is refused, and a server that sets SO_REUSEADDR (gRPC, Boost.Asio
/// acceptors) can listen on it, stop and listen again as often as it likes.
class ReservedPort {
 public:
  ReservedPort(ReservedPort&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), port_(other.port_) {}
  ReservedPort& operator=(ReservedPort&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(port_, other.port_);
    return *this;
  }
  ~ReservedPort();

  uint16_t port() const { return port_; }

 private:
  friend absl::StatusOr<ReservedPort> ReservePort(uint16_t port);
  ReservedPort(int descriptor, uint16_t port) : descriptor_(descriptor), port_(port) {}

  int descriptor_;
  uint16_t port_;
};

/// Reserves `port`, or a free one for 0. Fails when something already listens there.
absl::StatusOr<ReservedPort> ReservePort(uint16_t port = 0);

}  // namespace selvage::test
