#include "fabric/stream/tail_cache.h"

#include <algorithm>

namespace selvage {
namespace {

/// Memory that a cached entry takes: its body and about as much as the containers and the allocator add.
size_t MemoryOf(const Entry& entry) {
  return entry.body.size() + sizeof(Entry) + 64;
}

}  // namespace

void TailCache::Insert(LogNumber log, const Entry& entry) {
  const size_t memory = MemoryOf(entry);
  absl::MutexLock lock(&mutex_);
  auto it = logs_.find(log);
  // Only what joins on to what is cached may stand beside it.
  if (it != logs_.end() && (memory > budget_ || it->second.back().to != entry.from)) Drop(it);
  if (memory > budget_) return;
  EvictUntilFits(memory);
  logs_[log].push_back(entry);
  order_.push_back(log);
  bytes_ += memory;
}

void TailCache::Drop(Logs::iterator it) {
  for (const Entry& cached : it->second) bytes_ -= MemoryOf(cached);
  std::erase(order_, it->first);
  logs_.erase(it);
}

void TailCache::EvictUntilFits(size_t incoming) {
  while (bytes_ + incoming > budget_ && !order_.empty()) {
    LogNumber oldest = order_.front();
    order_.pop_front();
    auto it = logs_.find(oldest);
    bytes_ -= MemoryOf(it->second.front());
    it->second.pop_front();
    if (it->second.empty()) logs_.erase(it);
  }
}

std::vector<Entry> TailCache::Read(LogNumber log, Offset from, size_t max_bytes) const {
  std::vector<Entry> found;
  absl::MutexLock lock(&mutex_);
  auto it = logs_.find(log);
  if (it == logs_.end() || from < it->second.front().from) return found;
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
  if (it != logs_.end()) Drop(it);
}

size_t TailCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace selvage
