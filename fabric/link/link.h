#pragma once

#include <memory>
#include <vector>

#include "fabric/link/errands.h"
#include "fabric/link/flow_kind.h"
#include "fabric/replication/session.h"

namespace selvage {

/// Everything that flows over one link, at either end: hands each event of the session to the kind of flow
/// that it is about. What is left to the daemons is the handshake and what the kinds ask of them. Called as
/// replication::LinkHandler is, one call at a time.
class Link {
 public:
  /// `kinds` must outlive the link.
  Link(std::shared_ptr<Errands> errands, std::vector<FlowKind*> kinds)
      : errands_(std::move(errands)), kinds_(std::move(kinds)) {}

  /// Names the kinds in a Hello or Welcome of this end.
  template <class Handshake>
  void AddCapabilities(Handshake& handshake) const {
    for (const FlowKind* kind : kinds_) {
      if (!kind->capability().empty()) handshake.add_capabilities(std::string(kind->capability()));
    }
  }

  /// The handshake is done. `capabilities` are the peer's: of a kind that is not among them nothing is
  /// offered, so that a fleet of several versions is quiet.
  template <class Capabilities>
  void Begin(replication::Session& session, const Capabilities& capabilities, const Fence& fence) {
    for (FlowKind* kind : kinds_) {
      bool known = kind->capability().empty();
      for (const auto& capability : capabilities) known |= capability == kind->capability();
      if (known) {
        begun_.push_back(kind);
      } else {
        kind->Absent(session);
      }
    }
    for (FlowKind* kind : begun_) kind->Begin(session, fence);
  }
  /// True when the event was about a flow or a request, and is dealt with.
  bool Handle(replication::Session& session, const replication::Session::Event& event);
  /// About once a second, after Begin.
  void Tick(replication::Session& session);
  /// The link's wake was called: errands may be back.
  void Woken(replication::Session& session);
  /// The link has ended, or is about to be destroyed: no errand refers to it any more. May be called again.
  void End();

 private:
  FlowKind* Find(uint32_t kind) const;
  void OnOffered(replication::Session& session, const replication::Session::FlowOffered& offered);
  void OnRequested(replication::Session& session, const v1::FlowRequest& request);

  const std::shared_ptr<Errands> errands_;
  const std::vector<FlowKind*> kinds_;
  std::vector<FlowKind*> begun_;  // that the peer has as well
  bool ended_ = false;
};

}  // namespace selvage
