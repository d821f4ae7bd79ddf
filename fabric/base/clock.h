#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace selvage {

/// Where time enters. Pure code takes times as parameters; only shells and drivers hold a clock.
/// Implementations are safe to call from several threads.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Never goes back and does not follow wall clock changes; its origin means nothing.
  virtual absl::Duration Monotonic() = 0;
  /// Wall time. May jump either way: never used to order or fence anything.
  virtual absl::Time Wall() = 0;
};

/// Wall time in milliseconds since 1970, as documents and messages have it.
inline int64_t WallMs(Clock& clock) {
  return absl::ToUnixMillis(clock.Wall());
}

/// CLOCK_MONOTONIC and CLOCK_REALTIME.
Clock& SystemClock();

}  // namespace selvage
