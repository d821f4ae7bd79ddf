#include "fabric/stream/age_clock.h"

#include <algorithm>

namespace selvage {
namespace {

/// A wall clock that is off by more than this jumped.
constexpr absl::Duration kBelievable = absl::Hours(1);
constexpr int kCatchUpShare = 8;

}  // namespace

void AgeClock::GoOnFrom(int64_t newest_ms) {
  absl::MutexLock lock(&mutex_);
  if (started_ && now_ >= absl::FromUnixMillis(newest_ms)) return;
  started_ = true;
  now_ = absl::FromUnixMillis(newest_ms);
  measured_ = clock_.Monotonic();
}

int64_t AgeClock::NowMs() {
  absl::MutexLock lock(&mutex_);
  const absl::Duration monotonic = clock_.Monotonic();
  const absl::Time wall = std::max(clock_.Wall(), absl::UnixEpoch());
  if (!started_) {
    started_ = true;
    now_ = wall;
  } else {
    const absl::Duration elapsed = monotonic - measured_;
    const absl::Time expected = now_ + elapsed;
    const absl::Duration ahead = wall - expected;
    if (absl::AbsDuration(ahead) <= kBelievable) {
      now_ = std::max(now_, wall);
    } else {
      now_ = expected + std::clamp(ahead, absl::ZeroDuration(), elapsed / kCatchUpShare);
    }
  }
  measured_ = monotonic;
  return absl::ToUnixMillis(now_);
}

}  // namespace selvage
