#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/ids.h"
#include "fabric/stream/log_format.h"

namespace selvage {

/// The newest synced entries of all logs, within one budget: what consumers and the sender usually want is
/// served without touching the store. Oldest out first. Safe to use from several threads.
class TailCache {
 public:
  explicit TailCache(size_t budget_bytes) : budget_(budget_bytes) {}

  /// Adds the entry that follows what was added before for this log. An entry larger than the budget is not
  /// kept.
  void Insert(LogNumber log, const Entry& entry);
  /// Entries from the one that contains `from`, whole, until `max_bytes`; empty when that one is not here.
  std::vector<Entry> Read(LogNumber log, Offset from, size_t max_bytes) const;
  void Forget(LogNumber log);
  /// Memory in use.
  size_t bytes() const;

 private:
  using Logs = absl::flat_hash_map<LogNumber, std::deque<Entry>>;

  void Drop(Logs::iterator log) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EvictUntilFits(size_t incoming) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t budget_;
  mutable absl::Mutex mutex_;
  Logs logs_ ABSL_GUARDED_BY(mutex_);  // no deque is empty
  /// One element for each cached entry, in order of insertion.
  std::deque<LogNumber> order_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace selvage
