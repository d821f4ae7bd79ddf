#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/telemetry/log.h"

namespace selvage {

/// For events that others cause as often as they like: the first few in a while are said, the others are
/// counted. One for each kind of event. Safe to use from several threads.
class LogLimit {
 public:
  /// A line that may be written.
  class Line {
   public:
    /// As WriteLog does. Where events were left unsaid before this one, the last field says how many.
    void Write(LogLevel level, std::string_view message, LogFields fields) const;
    /// Events that were left unsaid since the last line.
    uint64_t unsaid() const { return unsaid_; }

   private:
    friend class LogLimit;
    explicit Line(uint64_t unsaid) : unsaid_(unsaid) {}

    uint64_t unsaid_;
  };

  /// The line for an event that happens at `now` (monotonic); nothing when it is to be left unsaid.
  std::optional<Line> Admit(absl::Duration now);

 private:
  absl::Mutex mutex_;
  absl::Duration began_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  int said_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t unsaid_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace selvage
