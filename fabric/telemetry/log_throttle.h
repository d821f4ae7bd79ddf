#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/telemetry/log.h"

namespace selvage {

/// Bounds what events of one kind may write to the log where peers decide how often they happen: so many
/// lines in a minute. What was left out is counted, and told with the next line that is written. Safe to use
/// from several threads.
class LogThrottle {
 public:
  explicit LogThrottle(int lines_a_minute = 10) : lines_(lines_a_minute) {}

  void Log(LogLevel level, std::string_view message, LogFields fields) noexcept;
  void Warning(std::string_view message, LogFields fields) noexcept {
    Log(LogLevel::kWarning, message, fields);
  }

  /// Whether a line may be written at `now` (of a monotonic clock), and how many were left out before it.
  std::optional<uint64_t> Take(absl::Duration now);

 private:
  const int lines_;
  absl::Mutex mutex_;
  absl::Duration minute_began_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  int written_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace selvage
