#pragma once

#include <map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "fabric/stream/log_damage.h"
#include "fabric/stream/published_log.h"

namespace selvage {

/// The ranges of a log that readers found damaged and that are not whole again, by offset. What nobody read
/// since the start is not known. Safe to use from several threads.
class DamagedRanges {
 public:
  /// `log` must outlive this.
  explicit DamagedRanges(PublishedLog& log) : log_(log) {}

  std::vector<LogDamage> All() const;
  bool empty() const;
  /// Remembers it in place of whatever it overlaps.
  void Note(const LogDamage& damage);
  /// Forgets what reaches into [from, to): it is whole, or gone.
  void Forget(Offset from, Offset to);
  /// Takes the beginning of a range, or all of it, out for `entries`, whose headers are completed as what
  /// lies around them demands. Nothing changes on an error: "range_changed" (a retry helps) when no range
  /// begins with them, "chain_mismatch" when they do not lead from the hash before it to the hash after it.
  absl::Status Fill(std::vector<Entry>& entries);

 private:
  PublishedLog& log_;
  mutable absl::Mutex mutex_;
  std::map<Offset, LogDamage> ranges_ ABSL_GUARDED_BY(mutex_);  // by `from`; no two overlap
};

}  // namespace selvage
