#pragma once

#include <algorithm>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"

namespace selvage::ctl {

struct RetryOptions {
  absl::Duration retry_for;                        ///< since the first failure
  std::function<bool(absl::Duration)> pause;       ///< World::pause
  std::function<void(const std::string&)> notice;  ///< that it is tried again, and why; once for each `call`
};

/// Calls until it succeeds, or fails with what a retry does not mend, or the time is over. The last result.
template <class Call>
auto RetryFor(const RetryOptions& options, const Call& call) {
  constexpr absl::Duration kFirst = absl::Milliseconds(100);
  constexpr absl::Duration kLongest = absl::Seconds(2);
  auto result = call();
  if (result.ok() || !IsRetryable(result.status())) return result;
  const absl::Duration until = SystemClock().Monotonic() + options.retry_for;
  if (options.retry_for > absl::ZeroDuration()) options.notice("trying again: " + Describe(result.status()));
  absl::Duration backoff = kFirst;
  while (!result.ok() && IsRetryable(result.status()) && SystemClock().Monotonic() < until) {
    if (!options.pause(backoff)) break;
    backoff = std::min(2 * backoff, kLongest);
    result = call();
  }
  return result;
}

}  // namespace selvage::ctl
