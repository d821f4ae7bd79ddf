#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "edge/edge_state.h"
#include "fabric/control/clock_skew.h"
#include "fabric/control/errands.h"
#include "fabric/control/link_appends.h"
#include "fabric/control/link_repair.h"
#include "fabric/replication/link_handler.h"

namespace selvage {

/// The edge's side of one link: says hello, offers the up streams, takes the down streams and the spec,
/// reports the status. Called by the link's driver, one call at a time.
class Uplink : public replication::LinkHandler {
 public:
  /// `wake` may be called from any thread to have the session looked at. `max_rate` is what the configuration
  /// says, for when the spec says nothing. `run` runs what may wait for the disk; what it is given must have
  /// run, or be gone, when `state` ends.
  Uplink(EdgeState& state, uint64_t max_rate, std::function<void()> wake,
         Errands::Runner run = Errands::AtOnce());
  ~Uplink() override;

  void Opened(replication::Session& session) override;
  void Handle(replication::Session& session, const replication::Session::Event& event) override;
  void Tick(replication::Session& session) override;
  void Woken(replication::Session& session) override { errands_->Apply(session); }
  void Closed(const absl::Status& reason, absl::Duration retry_after) override;

 private:
  struct Offered {
    std::shared_ptr<LogFlowSource> source;
    int watch;
  };
  void OnEvent(replication::Session& session, const replication::Session::Event& event);
  void OnFlowForked(replication::Session& session, const replication::Session::FlowForked& forked);
  void OnFlowHeld(const replication::Session& session, const replication::Session::FlowHeld& held);
  void OnClosed(const absl::Status& why);
  void OnWelcome(const v1::Welcome& welcome);
  void OnWelcomeTaken(replication::Session& session, const v1::Welcome& welcome, const absl::Status& taken);
  void OnSpec(const v1::EdgeSpec& spec);
  void OnSpecApplied(replication::Session& session, const v1::EdgeSpec& spec,
                     const absl::StatusOr<bool>& applied);
  void OnFlowEnded(replication::FlowNumber flow, const absl::Status& why);
  void EndRefusals(const std::string& core);
  /// Ends the alarms about flows that the core takes now, or that are not offered any more.
  void ClearHeld(const replication::Session& session);
  void FollowStreams(replication::Session& session);
  void OnFlowOffered(replication::Session& session, replication::FlowNumber flow, const v1::FlowOpen& open);
  void OnLogFound(replication::Session& session, replication::FlowNumber flow, const v1::FlowOpen& open,
                  const absl::StatusOr<std::shared_ptr<Log>>& log);
  void AcceptFlow(replication::Session& session, replication::FlowNumber flow,
                  const std::shared_ptr<Log>& log);
  void OfferNew(replication::Session& session);
  void RebirthIfForked(replication::Session& session);
  void PublishFlowStates(const replication::Session& session);
  /// Whether a flow may stand otherwise than when it was asked last.
  bool FlowsMoved(const replication::Session& session);
  void TellStatus(replication::Session& session);
  LogFlowSource* SourceOf(const replication::Session& session, replication::FlowNumber flow);
  void Unwatch();

  EdgeState& state_;
  NodeState& node_;
  const uint64_t max_rate_;
  const std::function<void()> wake_;
  const std::shared_ptr<Errands> errands_;
  LinkAppends appends_;
  LinkRepair repair_;
  int64_t welcome_at_ms_ = 0;  // when it came, by the wall clock
  /// The core's welcome was taken. What came behind it is done on other threads, before the strand hears.
  const std::shared_ptr<std::atomic<bool>> core_is_ours_ = std::make_shared<std::atomic<bool>>(false);
  bool welcomed_ = false;  // what the welcome says is stored
  bool forking_ = false;   // the store is being made another one; the link ends then
  Fence fence_;
  absl::Duration next_status_;
  absl::Duration tell_anyway_;  // at this time the status is told though there is no news
  EdgeState::Told told_;
  std::map<LogNumber, Offered> offered_;
  uint64_t offered_at_ = UINT64_MAX;   // EdgeState::flow_changes when the flows were offered
  uint64_t followed_at_ = UINT64_MAX;  // the same, when it was seen to that no others are
  std::map<replication::FlowNumber, std::unique_ptr<LogFlowSink>> sinks_;  // of flows that have not ended
  std::set<replication::FlowNumber> unanswered_;  // offered by the core; their logs are looked for
  std::set<LogNumber> taken_;                     // logs whose flows were accepted on this link
  std::map<LogNumber, LogPosition> forks_;
  std::map<LogNumber, EdgeState::FlowState> down_states_;  // of flows that the core offered on this link
  bool down_states_moved_ = true;
  uint64_t activity_seen_ = 0;  // of the session, by FlowsMoved
  std::vector<std::pair<replication::FlowNumber, replication::Sender::State>> senders_seen_;  // by FlowsMoved
  std::set<std::string> held_;  // subjects of alarms "flow_held", also of earlier links
  std::string core_;
  ClockSkewAlarm skew_;
  std::optional<v1::EdgeSpec> refused_spec_;  // tried again
  absl::Duration next_spec_try_;
};

}  // namespace selvage
