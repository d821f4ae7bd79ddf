#pragma once

#include "absl/time/time.h"
#include "edge/edge_state.h"
#include "fabric/link/document_flows.h"

namespace selvage {

/// The edge's status as a document for the core: told when there is news, and over time with no more than a
/// small share of the link. Belongs to one link; called as that is.
class StatusReport {
 public:
  /// `state` must outlive it. `boot`: this process's id; its statuses follow one another.
  StatusReport(EdgeState& state, BootId boot) : state_(state), source_("status") {
    source_.set_history(boot.bytes());
  }

  DocumentSource& source() { return source_; }
  /// Makes a status when one is due and there is news; true when it waits to be sent. About once a second.
  /// `rate`: bytes per second that the link is known to pass, or 0.
  bool Tick(double rate, absl::Duration now);
  /// There is news that the core waits for.
  void Hurry();

 private:
  EdgeState& state_;
  DocumentSource source_;
  EdgeState::Told told_;
  absl::Duration next_at_;
  absl::Duration tell_anyway_;  // at this time the status is told though there is no news
};

}  // namespace selvage
