#pragma once

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace selvage {

/// For events that others cause as often as they like: the first few in a while are said, the others are
/// counted. One for each kind of event. Safe to use from several threads.
class LogLimit {
 public:
  /// Whether to say the event that happens at `now` (monotonic), and how many were left unsaid since the last
  /// that was.
  std::optional<uint64_t> Admit(absl::Duration now);

 private:
  absl::Mutex mutex_;
  absl::Duration began_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  int said_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t unsaid_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace selvage
