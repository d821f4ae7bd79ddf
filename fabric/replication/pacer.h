#pragma once

#include <cstdint>
#include <deque>

#include "absl/time/time.h"

namespace selvage::replication {

/// How much may be under way on the link, and how large one frame may be. Keeps the queue in front of an urgent frame
/// short: it watches the time from sending a byte to hearing that it arrived, and holds the part that is queueing near
/// a target (the idea of LEDBAT, RFC 6817), so that neither the kernel's send buffer nor a modem's fills with bulk
/// data. Also the token bucket of link.max_rate. Pure: time is a parameter.
class Pacer {
 public:
  /// `max_rate` in bytes per second; 0: unlimited.
  explicit Pacer(uint64_t max_rate) : max_rate_(max_rate) {}

  void set_max_rate(uint64_t bytes_per_second) { max_rate_ = bytes_per_second; }
  /// Bytes of payload that may be sent now; 0 when the window or the rate is used up.
  size_t Allowance(absl::Duration now);
  void Sent(size_t bytes, absl::Duration now);
  /// The peer has received this many bytes of payload since the link began. A number beyond what was sent is false.
  bool Received(uint64_t total, absl::Duration now);
  /// Bytes that pass in about 250 ms at the measured rate: the largest fragment to send.
  size_t FrameBytes() const;
  /// When the rate limit allows the next frame; infinite when the rate is not what holds it up.
  absl::Duration NextAllowanceAt(absl::Duration now) const;

  uint64_t in_flight() const { return sent_ - received_; }
  size_t window() const { return window_; }
  /// Measured bytes per second; 0 before the first measurement.
  double rate() const;

 private:
  struct Mark {
    uint64_t total;
    absl::Duration at;
  };
  void UpdateWindow(uint64_t arrived, absl::Duration delay, absl::Duration now);
  void Refill(absl::Duration now);

  uint64_t max_rate_;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  std::deque<Mark> marks_;  // what was sent and has not arrived

  size_t window_ = 8 << 10;
  bool starting_ = true;        // window still grows by what arrives
  bool window_limited_ = false; // the window, not the application, held sending up since the last arrival
  absl::Duration smoothed_delay_ = absl::ZeroDuration();
  absl::Duration base_delay_ = absl::InfiniteDuration();
  absl::Duration next_base_delay_ = absl::InfiniteDuration();  // of the running interval
  absl::Duration base_interval_end_ = absl::ZeroDuration();
  absl::Duration last_shrink_ = -absl::InfiniteDuration();

  double tokens_ = 0;
  absl::Duration tokens_at_ = -absl::InfiniteDuration();
};

}  // namespace selvage::replication
