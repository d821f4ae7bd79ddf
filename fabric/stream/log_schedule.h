#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "fabric/base/ids.h"

namespace selvage {

/// When to look at which log next. What is not due costs nothing. Not thread-safe.
class LogSchedule {
 public:
  static constexpr int64_t kNever = INT64_MAX;

  /// The time replaces what was set for the log before.
  void Set(LogNumber log, int64_t due_ms);
  /// Logs that are due at `now_ms`, the earliest first; they are forgotten until they are set again.
  std::vector<LogNumber> TakeDue(int64_t now_ms);

 private:
  absl::flat_hash_map<LogNumber, int64_t> due_;
  std::set<std::pair<int64_t, LogNumber>> by_time_;
};

}  // namespace selvage
