#include "fabric/stream/tail_cache.h"

#include <algorithm>

namespace selvage {

void TailCache::Insert(LogNumber log, const Entry& entry) {
  absl::MutexLock lock(&mutex_);
  if (entry.body.size() > budget_) {
    // What follows would not join on to what is cached.
    auto it = logs_.find(log);
    if (it == logs_.end()) return;
    for (const Entry& cached : it->second) bytes_ -= cached.body.size();
    logs_.erase(it);
    return;
  }
  EvictUntilFits(entry.body.size());
  std::deque<Entry>& entries = logs_[log];
  if (!entries.empty() && entries.back().to != entry.from) {
    for (const Entry& cached : entries) bytes_ -= cached.body.size();
    entries.clear();
  }
  entries.push_back(entry);
  order_.push_back(log);
  bytes_ += entry.body.size();
}

void TailCache::EvictUntilFits(size_t incoming) {
  while (bytes_ + incoming > budget_ && !order_.empty()) {
    LogNumber oldest = order_.front();
    order_.pop_front();
    auto it = logs_.find(oldest);
    if (it == logs_.end() || it->second.empty()) continue;
    bytes_ -= it->second.front().body.size();
    it->second.pop_front();
    if (it->second.empty()) logs_.erase(it);
  }
}

std::vector<Entry> TailCache::Read(LogNumber log, Offset from, size_t max_bytes) const {
  std::vector<Entry> found;
  absl::MutexLock lock(&mutex_);
  auto it = logs_.find(log);
  if (it == logs_.end() || it->second.empty() || from < it->second.front().from) return found;
  const std::deque<Entry>& entries = it->second;
  auto at = std::upper_bound(entries.begin(), entries.end(), from,
                             [](Offset offset, const Entry& entry) { return offset < entry.to; });
  size_t bytes = 0;
  for (; at != entries.end() && (found.empty() || bytes + at->body.size() <= max_bytes); ++at) {
    bytes += at->body.size();
    found.push_back(*at);
  }
  return found;
}

void TailCache::Forget(LogNumber log) {
  absl::MutexLock lock(&mutex_);
  auto it = logs_.find(log);
  if (it == logs_.end()) return;
  for (const Entry& cached : it->second) bytes_ -= cached.body.size();
  logs_.erase(it);
}

size_t TailCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace selvage
