#include "fabric/table/hlc.h"

#include <algorithm>
#include <limits>

#include "fabric/base/check.h"

namespace selvage::table {

bool IsTooFarAhead(Hlc time, int64_t now_ms, int64_t max_ahead_ms) {
  // A time has at most 48 bits of milliseconds, so the difference cannot overflow once now is within them.
  return time.ms() - Hlc::AtMs(now_ms).ms() > max_ahead_ms;
}

HlcClock::HlcClock(Hlc floor, Limits limits) : limits_(limits), last_(floor), floor_(floor) {
  SELVAGE_CHECK(limits.floor_ahead_ms >= 0 && limits.floor_ahead_ms < limits.max_ahead_ms);
}

Hlc HlcClock::Tick(int64_t now_ms) {
  SELVAGE_CHECK(last_.packed() < std::numeric_limits<uint64_t>::max());
  // A counter that is used up carries into the milliseconds: the clock then runs ahead of the wall for a
  // moment.
  last_ = std::max(Hlc(last_.packed() + 1), Hlc::AtMs(now_ms));
  return last_;
}

bool HlcClock::Observe(Hlc time, int64_t now_ms) {
  if (IsTooFarAhead(time, now_ms, limits_.max_ahead_ms)) return false;
  last_ = std::max(last_, time);
  return true;
}

void HlcClock::Follow(Hlc own) {
  last_ = std::max(last_, own);
}

void HlcClock::SetBack(Hlc to) {
  last_ = to;
  floor_ = Hlc();
}

std::optional<Hlc> HlcClock::FloorDue() const {
  if (last_ <= floor_) return std::nullopt;
  // Never below what was used, also where the milliseconds end.
  return std::max(last_, Hlc::AtMs(last_.ms() + limits_.floor_ahead_ms));
}

void HlcClock::FloorPersisted(Hlc floor) {
  floor_ = std::max(floor_, floor);
}

}  // namespace selvage::table
