#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/replication/session.h"

namespace selvage::replication {

/// What a link is for: the owner of a session, at the edge its uplink, at the core one for each edge. The
/// driver (the gRPC shell, or a simulator) calls it, one call at a time, and takes what the session has ready
/// after each call.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;

  /// The transport is up and the session new: the edge sends its hello.
  virtual void Opened(Session& session) = 0;
  virtual void Handle(Session& session, const Session::Event& event) = 0;
  /// About once a second.
  virtual void Tick(Session& session) = 0;
  /// The handler called its wake, or something else did: what was done elsewhere may be back.
  virtual void Woken(Session&) {}
  /// The link ended; no call follows. `retry_after`: what the peer asked for, or 0.
  virtual void Closed(const absl::Status& reason, absl::Duration retry_after) = 0;
};

}  // namespace selvage::replication
