#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/link/errands.h"
#include "fabric/link/flow_kind.h"
#include "fabric/node/node_state.h"
#include "fabric/replication/session.h"
#include "fabric/stream/repair_flow.h"

namespace selvage {

/// Flows of kind REPAIR: fetches over one link what is damaged at this end, and gives what is damaged at the
/// other. One piece at a time is fetched, so that what is held until it is complete stays within the credit
/// of the link.
class RepairFlows : public FlowKind {
 public:
  /// `shared`: whether a log is one that this end and the peer hold by right; nothing else is asked for or
  /// given.
  /// What waits for the disk is an errand; `node` must outlive those.
  RepairFlows(NodeState& node, std::shared_ptr<Errands> errands, std::function<bool(const LogOrigin&)> shared)
      : node_(node), errands_(std::move(errands)), shared_(std::move(shared)) {}

  v1::FlowKind kind() const override { return v1::REPAIR; }
  std::string_view capability() const override { return "repair"; }
  void Begin(replication::Session&, const Fence& fence) override { fence_ = fence; }
  void Tick(replication::Session& session) override;
  void OnOffered(replication::Session& session, replication::FlowNumber flow,
                 const v1::FlowOpen& open) override;
  void OnEnded(replication::FlowNumber flow, const absl::Status& status) override;
  void OnHeld(replication::Session& session, const replication::Session::FlowHeld& held) override;
  bool OnRequested(replication::Session& session, const v1::FlowRequest& request) override;
  void OnRefused(const replication::Session::RequestRefused& refused) override;

 private:
  struct Question {
    uint32_t request;
    DamageControl::Wanted wanted;
  };
  using Range = std::pair<LogNumber, Offset>;

  void Ask(replication::Session& session);
  /// The log that a piece is asked of.
  absl::StatusOr<std::shared_ptr<Log>> LogOf(const v1::RepairRequest& request);
  void Answer(replication::Session& session, uint32_t request,
              absl::StatusOr<std::unique_ptr<RepairSource>> source);
  void AskLater(absl::Duration after);

  NodeState& node_;
  const std::shared_ptr<Errands> errands_;
  const std::function<bool(const LogOrigin&)> shared_;
  Fence fence_;

  std::optional<Question> asked_;
  std::optional<replication::FlowNumber> fetching_;  // the flow that answers what was asked
  std::map<Range, absl::Duration> not_before_;       // what was refused is asked for again then
  std::map<replication::FlowNumber, std::unique_ptr<RepairSink>> sinks_;
  std::map<replication::FlowNumber, std::unique_ptr<RepairSource>> sources_;
  size_t looked_for_ = 0;  // sources that are made
};

}  // namespace selvage
