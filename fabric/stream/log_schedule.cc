#include "fabric/stream/log_schedule.h"

namespace selvage {

void LogSchedule::Set(LogNumber log, int64_t due_ms) {
  if (const auto known = due_.find(log); known != due_.end()) {
    if (known->second == due_ms) return;
    by_time_.erase({known->second, log});
    due_.erase(known);
  }
  if (due_ms == kNever) return;
  due_.emplace(log, due_ms);
  by_time_.emplace(due_ms, log);
}

std::vector<LogNumber> LogSchedule::TakeDue(int64_t now_ms) {
  std::vector<LogNumber> logs;
  while (!by_time_.empty() && by_time_.begin()->first <= now_ms) {
    const LogNumber log = by_time_.begin()->second;
    by_time_.erase(by_time_.begin());
    due_.erase(log);
    logs.push_back(log);
  }
  return logs;
}

}  // namespace selvage
