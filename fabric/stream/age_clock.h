#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"

namespace selvage {

/// The time by which entries age: follows the wall clock while that is believable and never goes back. A wall
/// clock that jumps, at a restart or while running, must neither expire what was stored yesterday nor keep it
/// for ever. So this time runs on with the monotonic clock instead, and makes up for a wall clock that stays
/// ahead by running an eighth faster: a node that was off for some days catches up, and a node that wakes up
/// in 2040 loses little. Safe to use from several threads.
class AgeClock {
 public:
  /// `clock` must outlive this.
  explicit AgeClock(Clock& clock) : clock_(clock) {}

  /// Goes on from the newest time that was stored, the newest of several calls. Call before the first NowMs.
  void GoOnFrom(int64_t newest_ms);
  /// Milliseconds; the wall time where the wall clock behaves.
  int64_t NowMs();

 private:
  Clock& clock_;
  absl::Mutex mutex_;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
  absl::Duration measured_ ABSL_GUARDED_BY(mutex_);  // monotonic time of `now_`
};

}  // namespace selvage
