#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/replication/session.h"

namespace selvage::replication {

/// The owner of a session: the edge has one for its uplink, the core one for each edge. The driver (the gRPC
/// shell, or a simulator) makes one call at a time, and calls the session's TakeReady after each.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;

  /// The transport is up and the session new: the edge sends its hello.
  virtual void Opened(Session& session) = 0;
  virtual void Handle(Session& session, const Session::Event& event) = 0;
  /// About once a second.
  virtual void Tick(Session& session) = 0;
  /// Somebody called the handler's wake: work that another thread did for it may be done.
  virtual void Woken(Session&) {}
  /// The link ended; no call follows. `retry_after`: the pause that the peer asked for, or 0.
  virtual void Closed(const absl::Status& reason, absl::Duration retry_after) = 0;
};

}  // namespace selvage::replication
