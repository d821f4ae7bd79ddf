#pragma once

#include "absl/functional/function_ref.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"

namespace selvage::test {

/// Waits until `predicate` is true, asking every `interval`; false when it is not so by `deadline` (from
/// now). Asks at least once, and once more at the deadline. The one place where tests poll: prefer to wait
/// for an event.
inline bool Eventually(absl::Duration deadline, absl::FunctionRef<bool()> predicate,
                       absl::Duration interval = absl::Milliseconds(10)) {
  const absl::Duration until = SystemClock().Monotonic() + deadline;
  while (true) {
    const bool last = SystemClock().Monotonic() >= until;
    if (predicate()) return true;
    if (last) return false;
    absl::SleepFor(interval);
  }
}

}  // namespace selvage::test
