#include "fabric/link/clock_skew.h"

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

namespace selvage {
namespace {

constexpr int64_t kAlarmFromMs = 60'000;
/// Less than kAlarmFromMs, so that a clock at the limit does not open and end alarms all the time.
constexpr int64_t kEndsBelowMs = 50'000;
/// What is told again when the skew has changed by more.
constexpr int64_t kNewsMs = 30'000;

/// Of two times that a peer may have made up. Unsigned: the difference may wrap, which is defined.
int64_t Difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

}  // namespace

void ClockSkewAlarm::Judge(const std::string& peer, int64_t peer_ms, int64_t own_ms) {
  const int64_t skew_ms = Difference(peer_ms, own_ms);
  const bool known = std::exchange(judged_, true);
  if (skew_ms > kAlarmFromMs || skew_ms < -kAlarmFromMs) {
    if (told_ms_ && std::abs(Difference(skew_ms, *told_ms_) / 2) <= kNewsMs / 2) return;
    told_ms_ = skew_ms;
    alarms_.Report({"clock_skew", peer,
                    fmt::format("the {} clock is {} s away from {}", whose_, skew_ms / 1000, than_),
                    "set the clock that is wrong; streams are not affected", false});
  } else if (skew_ms <= kEndsBelowMs && skew_ms >= -kEndsBelowMs && (told_ms_ || !known)) {
    told_ms_.reset();
    alarms_.Clear("clock_skew", peer);
  }
}

}  // namespace selvage
