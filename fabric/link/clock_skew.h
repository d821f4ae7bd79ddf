#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "fabric/node/alarm_book.h"

namespace selvage {

/// The alarm "clock_skew" about the peer of one link: judged whenever the peer says what time it has, so that
/// a clock that jumps or is set while the link stands is seen. For one thread.
class ClockSkewAlarm {
 public:
  /// For the message: "the `whose` clock is 120 s away from `than`". `alarms` must outlive it.
  ClockSkewAlarm(AlarmBook& alarms, std::string whose, std::string than)
      : alarms_(alarms), whose_(std::move(whose)), than_(std::move(than)) {}

  /// `peer` is the alarm's subject; both times in milliseconds since 1970.
  void Judge(const std::string& peer, int64_t peer_ms, int64_t own_ms);

 private:
  AlarmBook& alarms_;
  const std::string whose_;
  const std::string than_;
  bool judged_ = false;             // on this link
  std::optional<int64_t> told_ms_;  // the skew that the open alarm tells
};

}  // namespace selvage
