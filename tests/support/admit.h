#pragma once

#include "absl/synchronization/notification.h"
#include "core/fleet.h"

namespace selvage::test {

/// Waits until the fleet has decided, and the decision is durable.
inline absl::StatusOr<Fleet::Admission> Admit(Fleet& fleet, const v1::Hello& hello) {
  absl::StatusOr<Fleet::Admission> outcome;
  absl::Notification decided;
  fleet.Admit(hello, [&](const absl::StatusOr<Fleet::Admission>& admission) {
    outcome = admission;
    decided.Notify();
  });
  decided.WaitForNotification();
  return outcome;
}

}  // namespace selvage::test
