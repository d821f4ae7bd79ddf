#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "fabric/replication/session.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/link.pb.h"

namespace selvage {

/// What one kind of flow does on one link: what is offered to the peer, how an offer of the peer is answered,
/// and what follows when a flow ends, is held or has forked. One object for each kind and link; the link
/// (link.h) calls it, one call at a time. Whatever may wait for the disk is an errand (errands.h).
class FlowKind {
 public:
  virtual ~FlowKind() = default;

  virtual v1::FlowKind kind() const = 0;
  /// How Hello and Welcome name the kind; empty for one that every peer has.
  virtual std::string_view capability() const = 0;

  /// The handshake is done, and the peer has this kind: flows may be offered and things asked for from here
  /// on. `fence` is the session's; entries that come are stored under it.
  virtual void Begin(replication::Session& session, const Fence& fence) = 0;
  /// The handshake is done, and the peer does not have this kind: Begin, Tick and Woken are not called.
  virtual void Absent(replication::Session&) {}
  /// About once a second after Begin.
  virtual void Tick(replication::Session& session) = 0;
  /// Something may have changed; called often, so it must be cheap when nothing has.
  virtual void Woken(replication::Session&) {}

  /// The peer offers a flow: to be answered with Accept or Refuse, now or later.
  virtual void OnOffered(replication::Session& session, replication::FlowNumber flow,
                         const v1::FlowOpen& open) = 0;
  /// The peer ended a flow that it had offered (OK), or the session refused it.
  virtual void OnEnded(replication::FlowNumber, const absl::Status&) {}

  /// The peer refuses a flow that was offered to it, or it failed.
  virtual void OnHeld(replication::Session&, const replication::Session::FlowHeld&) {}
  /// The peer holds another history of the flow.
  virtual void OnForked(replication::Session&, const replication::Session::FlowForked&) {}

  /// The peer asks for something. True when it is of this kind: then it is answered, now or later.
  virtual bool OnRequested(replication::Session&, const v1::FlowRequest&) { return false; }
  /// The peer does not give what was asked for; every kind hears of it and knows its own by the number.
  virtual void OnRefused(const replication::Session::RequestRefused&) {}

  /// The link has ended; no call follows.
  virtual void End() {}
};

}  // namespace selvage
