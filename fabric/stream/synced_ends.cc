#include "fabric/stream/synced_ends.h"

namespace selvage {

bool SyncedEnds::Update() {
  bool changed = false;
  if (const uint64_t logs = logs_.changes(); logs != logs_seen_) {
    logs_seen_ = logs;
    changed =
        std::erase_if(ends_, [&](const auto& end) { return logs_.FindNumber(end.first) == nullptr; }) > 0;
  }
  for (const std::shared_ptr<Log>& log : logs_.ChangedSince(changes_seen_)) {
    const auto known = ends_.find(log->number());
    if (known != ends_.end() && !log->held().ok()) continue;
    const Offset end = log->state().end;
    if (known != ends_.end() && known->second == end) continue;
    ends_[log->number()] = end;
    changed = true;
  }
  return changed;
}

}  // namespace selvage
