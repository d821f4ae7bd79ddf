#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/control/errands.h"
#include "fabric/control/node_state.h"
#include "fabric/replication/session.h"
#include "fabric/stream/repair_flow.h"

namespace selvage {

/// What a peer says in its hello or welcome when it answers repair requests.
inline constexpr std::string_view kRepairCapability = "repair";

/// Fetches over one link what is damaged at this end, and gives what is damaged at the other. A part of
/// either end's link handler, called as that is. One piece at a time is fetched, so that what is held until
/// it is complete stays within the credit of the link.
class LinkRepair {
 public:
  /// `shared`: whether a log is one that this end and the peer hold by right; nothing else is asked for or
  /// given.
  /// What waits for the disk is an errand; `node` must outlive those.
  LinkRepair(NodeState& node, std::shared_ptr<Errands> errands, std::function<bool(const LogOrigin&)> shared)
      : node_(node), errands_(std::move(errands)), shared_(std::move(shared)) {}

  /// The capabilities in the peer's hello or welcome.
  template <class Capabilities>
  void PeerIsCapableOf(const Capabilities& capabilities) {
    for (const auto& capability : capabilities) asks_ |= capability == kRepairCapability;
  }

  /// True when the event was about a repair, and is dealt with.
  bool Handle(replication::Session& session, const replication::Session::Event& event);
  /// What entries are stored under from here on.
  void set_fence(Fence fence) { fence_ = std::move(fence); }
  /// About once a second.
  void Tick(replication::Session& session);

 private:
  struct Question {
    uint32_t request;
    DamageControl::Wanted wanted;
  };
  using Range = std::pair<LogNumber, Offset>;

  void Ask(replication::Session& session);
  bool OnRequest(replication::Session& session, const v1::FlowRequest& request);
  void OnRefused(const replication::Session::RequestRefused& refused);
  void OnOffered(replication::Session& session, replication::FlowNumber flow, const v1::FlowOpen& open);
  void OnEnded(replication::FlowNumber flow, const absl::Status& status);
  bool DropSource(replication::Session& session, replication::FlowNumber flow);
  /// The log that a piece is asked of.
  absl::StatusOr<std::shared_ptr<EmbeddedLog>> LogOf(const v1::RepairRequest& request);
  void Answer(replication::Session& session, uint32_t request,
              absl::StatusOr<std::unique_ptr<RepairSource>> source);
  void AskLater(absl::Duration after);

  NodeState& node_;
  const std::shared_ptr<Errands> errands_;
  const std::function<bool(const LogOrigin&)> shared_;
  bool asks_ = false;
  Fence fence_;

  uint32_t next_request_ = 1;
  std::optional<Question> asked_;
  std::optional<replication::FlowNumber> fetching_;  // the flow that answers what was asked
  std::map<Range, absl::Duration> not_before_;       // what was refused is asked for again then
  std::map<replication::FlowNumber, std::unique_ptr<RepairSink>> sinks_;
  std::map<replication::FlowNumber, std::unique_ptr<RepairSource>> sources_;
  size_t looked_for_ = 0;  // sources that are made
};

}  // namespace selvage
