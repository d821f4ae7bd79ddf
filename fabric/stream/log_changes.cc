#include "fabric/stream/log_changes.h"

namespace selvage {

void LogChanges::Add(LogNumber log) {
  absl::MutexLock lock(&mutex_);
  MoveToEnd(log, changed_at_[log]);
}

void LogChanges::Note(LogNumber log) {
  absl::MutexLock lock(&mutex_);
  const auto it = changed_at_.find(log);
  if (it == changed_at_.end() || it->second > newest_seen_) return;
  MoveToEnd(log, it->second);
}

void LogChanges::MoveToEnd(LogNumber log, uint64_t& changed_at) {
  by_change_.erase(changed_at);
  changed_at = ++last_;
  by_change_.emplace_hint(by_change_.end(), last_, log);
}

void LogChanges::Forget(LogNumber log) {
  absl::MutexLock lock(&mutex_);
  const auto it = changed_at_.find(log);
  if (it == changed_at_.end()) return;
  by_change_.erase(it->second);
  changed_at_.erase(it);
}

std::vector<LogNumber> LogChanges::Since(uint64_t& seen) {
  absl::MutexLock lock(&mutex_);
  std::vector<LogNumber> logs;
  for (auto it = by_change_.upper_bound(seen); it != by_change_.end(); ++it) logs.push_back(it->second);
  seen = newest_seen_ = last_;
  return logs;
}

}  // namespace selvage
