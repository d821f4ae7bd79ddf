#include "fabric/telemetry/log_throttle.h"

#include <utility>

#include "fabric/base/clock.h"

namespace selvage {

std::optional<uint64_t> LogThrottle::Take(absl::Duration now) {
  absl::MutexLock lock(&mutex_);
  if (now - minute_began_ >= absl::Minutes(1)) {
    minute_began_ = now;
    written_ = 0;
  }
  if (written_ >= lines_) {
    ++left_out_;
    return std::nullopt;
  }
  ++written_;
  return std::exchange(left_out_, 0);
}

void LogThrottle::Log(LogLevel level, std::string_view message, LogFields fields) noexcept {
  const std::optional<uint64_t> left_out = Take(SystemClock().Monotonic());
  if (!left_out) return;
  if (*left_out > 0)
    LogWarning("lines like the next one were left out", {{"line", message}, {"count", *left_out}});
  WriteLog(level, message, fields);
}

}  // namespace selvage
