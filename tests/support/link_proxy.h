#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace selvage::test {

/// Which way a fault works: kUp is from the side that dialled the proxy to the target.
enum class Direction { kUp, kDown, kBoth };

struct LinkCounters {
  /// Accepted since the start.
  uint64_t connections = 0;
  /// Not yet closed by the proxy, half-open ones included.
  uint64_t open = 0;
  /// Handed to the receiving side.
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
};

/// A TCP link on 127.0.0.1 that can be spoilt: it listens on a port and forwards every connection to a target
/// port. Faults hold for all connections, present and new, until switched off again, and may be combined. A
/// throttled link pushes back: beyond what is in flight it holds a few KiB, and a sender's kernel some 70
/// KiB. Safe to use from several threads; each call returns when it has taken effect. Owns one thread.
class LinkProxy {
 public:
  struct Options {
    /// Where to forward to.
    uint16_t target_port = 0;
    /// Where to listen; 0 takes a free port.
    uint16_t port = 0;
  };

  static absl::StatusOr<std::unique_ptr<LinkProxy>> Start(const Options& options);
  /// Resets all connections.
  ~LinkProxy();

  uint16_t port() const;

  /// Where new connections go; present ones stay where they are.
  void SetTarget(uint16_t port);

  /// Resets (RST) all connections at both ends. New ones are accepted.
  void Cut();
  /// While true new connections are refused, as by a host where nobody listens; present ones go on.
  void Refuse(bool refuse);
  /// Forwards nothing in this direction, not even the end of a connection; sockets stay open and push back.
  /// New connections are accepted but do not reach the target while either direction is stalled.
  void Stall(Direction direction);
  /// Ends a stall; what waited goes on.
  void Resume(Direction direction);
  /// Makes the present connections half-open: what either end sends is swallowed, no end hears of the other,
  /// whatever it does, until Cut(). New connections work.
  void HalfOpen();
  /// One way, added to every byte, also to those on their way; zero ends it. Does not limit throughput until
  /// 64 MiB are in flight. Connecting itself is not delayed.
  void Delay(Direction direction, absl::Duration one_way);
  /// Payload bits per second that all connections share in this direction; 0 ends it.
  void Throttle(Direction direction, int64_t bits_per_second);

  LinkCounters counters() const;

 private:
  class Impl;
  explicit LinkProxy(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace selvage::test
