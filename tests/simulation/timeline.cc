#include "tests/simulation/timeline.h"

#include <cstdio>

namespace selvage::sim {

bool Timeline::RunNext(absl::Duration until) {
  auto next = queue_.begin();
  if (next == queue_.end() || next->first > until) {
    now_ = std::max(now_, until);
    return false;
  }
  now_ = next->first;
  auto what = std::move(next->second);
  queue_.erase(next);
  ++events_;
  digest_ = (digest_ ^ static_cast<uint64_t>(absl::ToInt64Nanoseconds(now_))) * 0x9E3779B97F4A7C15u;
  what();
  return true;
}

void Timeline::Violate(std::string what) {
  if (violated()) return;
  violation_ = std::move(what);
  Trace("VIOLATION: {}", violation_);
}

void Timeline::Print(const std::string& line) const {
  fmt::print(stderr, "{:12.6f} {}\n", absl::ToDoubleSeconds(now_) - 1000, line);
}

}  // namespace selvage::sim
