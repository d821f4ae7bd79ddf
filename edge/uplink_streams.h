#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/edge_state.h"
#include "fabric/link/stream_flows.h"

namespace selvage {

/// The edge's part in the streams on its link: offers the up streams, takes the down streams, becomes another
/// store when its history parted from the core's, and says how each flow stands. Belongs to one link.
class UplinkStreams : public StreamEnd, public std::enable_shared_from_this<UplinkStreams> {
 public:
  /// What it uses of the edge. All of it must outlive it and the errands.
  struct Parts {
    EdgeState& state;
    const NodeIdentity& identity;
    Random& random;
    LogStore& logs;
    AlarmBook& alarms;
  };

  UplinkStreams(const Parts& parts, std::shared_ptr<Errands> errands)
      : parts_(parts), errands_(std::move(errands)) {}

  /// The store is being made another one: the link ends then, and offers nothing more.
  bool forking() const { return forking_; }
  /// About once a second, unless forking. `offers`: the outgoing_version of what is offered now.
  void Tick(replication::Session& session, std::optional<uint64_t> offers);

  absl::StatusOr<std::vector<std::shared_ptr<LogFlowSource>>> Outgoing() override;
  absl::StatusOr<std::shared_ptr<Log>> LogFor(const v1::FlowOpen& open) override;
  std::optional<uint64_t> outgoing_version() override;
  void OnTaken(const v1::FlowOpen& open, Log& log) override;
  void OnRefused(const v1::FlowOpen& open, const absl::Status& why) override;
  void OnEnded(Log& log, const absl::Status& why) override;
  void OnForked(replication::Session& session, std::shared_ptr<Log> log, const LogPosition& common) override;
  std::string AlarmSubject(const LogOrigin& origin) const override { return ToString(origin); }
  std::string AlarmPeer() const override { return ""; }

 private:
  void RebirthIfForked(replication::Session& session, std::optional<uint64_t> offers);
  void PublishFlowStates(const replication::Session& session);
  /// Whether a flow may stand otherwise than when it was asked last.
  bool FlowsMoved(const replication::Session& session);

  const Parts parts_;
  const std::shared_ptr<Errands> errands_;
  bool any_forked_ = false;
  bool forking_ = false;
  std::map<LogNumber, EdgeState::FlowState> down_states_;  // of flows that the core offered on this link
  bool down_states_moved_ = true;
  uint64_t activity_seen_ = 0;  // of the session, by FlowsMoved
  std::vector<std::pair<replication::FlowNumber, replication::Sender::State>> senders_seen_;  // by FlowsMoved
};

}  // namespace selvage
