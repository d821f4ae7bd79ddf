#pragma once

#include "fabric/base/clock.h"
#include "tests/simulation/timeline.h"

namespace selvage::sim {

/// The clock of one machine: its monotonic time begins anew at each boot and drifts; its wall clock may be
/// wrong.
class SimClock : public Clock {
 public:
  explicit SimClock(const Timeline& time) : time_(time) { Boot(absl::Seconds(1), 1); }

  /// `rate`: seconds of this clock in one second of the world.
  void Boot(absl::Duration origin, double rate) {
    booted_ = time_.now();
    origin_ = origin;
    rate_ = rate;
  }
  void SetWallError(absl::Duration error) { wall_error_ = error; }

  absl::Duration Monotonic() override { return origin_ + (time_.now() - booted_) * rate_; }
  absl::Time Wall() override { return absl::FromUnixSeconds(1'530'000'000) + time_.now() + wall_error_; }

  /// When this clock's monotonic time is (at the earliest) `local`.
  absl::Duration WorldTime(absl::Duration local) const {
    if (local == absl::InfiniteDuration()) return local;
    return booted_ + (local - origin_) / rate_ + absl::Nanoseconds(2);
  }

 private:
  const Timeline& time_;
  absl::Duration booted_;
  absl::Duration origin_;
  double rate_ = 1;
  absl::Duration wall_error_;
};

}  // namespace selvage::sim
