#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/ids.h"

namespace selvage {

/// Which logs of a node changed, and in which order: those who look after all logs now and then look at these
/// only, so that a log which nobody touches costs nothing. A change is whatever moves the log's synced state,
/// what was acknowledged of it, whether it is held, or the damage known of it. Safe to use from several
/// threads.
class LogChanges {
 public:
  /// There is a log with that number, and it counts as changed.
  void Add(LogNumber log);
  /// Call after the change can be seen. Nothing for a log that is gone: whoever still holds it may do this.
  void Note(LogNumber log);
  /// The log is gone; its number does not come again.
  void Forget(LogNumber log);
  /// The logs that changed since the call that left `seen`, each once; all of them for 0. Moves `seen` on.
  std::vector<LogNumber> Since(uint64_t& seen);

 private:
  void MoveToEnd(LogNumber log, uint64_t& changed_at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  /// A log that changed after this is ahead of every reader already and stays where it is.
  uint64_t newest_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<LogNumber, uint64_t> changed_at_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, LogNumber> by_change_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage
