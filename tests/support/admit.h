#pragma once

#include "absl/synchronization/notification.h"
#include "core/fleet.h"
#include "fabric/base/check.h"

namespace selvage::test {

/// Waits until the fleet has decided, and the decision is durable.
inline absl::StatusOr<Admission> Admit(Fleet& fleet, const v1::Hello& hello) {
  absl::StatusOr<Admission> outcome;
  absl::Notification decided;
  fleet.admitter.Admit(hello, [&](const absl::StatusOr<Admission>& admission) {
    outcome = admission;
    decided.Notify();
  });
  decided.WaitForNotification();
  return outcome;
}

/// Takes a status as over a link that ends then.
inline void Report(Fleet& fleet, const std::string& edge, const v1::EdgeStatus& status) {
  const uint64_t link = fleet.links.Linked(edge, SessionEpoch(UINT64_MAX), {.close = [] {}, .wake = [] {}});
  SELVAGE_CHECK(fleet.reports.Take(edge, link, status).ok());
  fleet.links.Unlinked(edge, link);
}

}  // namespace selvage::test
