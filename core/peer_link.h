#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/fleet.h"
#include "fabric/control/link_repair.h"
#include "fabric/replication/link_handler.h"
#include "fabric/stream/log_flow.h"
#include "fabric/telemetry/metrics.h"

namespace selvage {

/// The core's side of one edge's link: admits it, takes its up streams, offers its down streams, keeps its
/// spec up to date. Called by the link's driver, one call at a time.
class PeerLink : public replication::LinkHandler {
 public:
  /// `edge` as the certificate says. `fleet` and `metrics`, which counts what is refused, must outlive it.
  /// `wake` may be called from any thread.
  PeerLink(Fleet& fleet, Metrics& metrics, std::string edge, std::function<void()> wake);
  ~PeerLink() override;

  void Opened(replication::Session&) override {}
  void Handle(replication::Session& session, const replication::Session::Event& event) override;
  void Persist(replication::Session::Persist persist,
               std::function<void(const absl::StatusOr<LogPosition>&)> done) override;
  void Tick(replication::Session& session) override;
  void Closed(const absl::Status& reason, absl::Duration retry_after) override;

 private:
  struct Offered {
    std::unique_ptr<LogFlowSource> source;
    replication::FlowNumber flow;
    int watch;
    bool streamed = false;  ///< once, on this link
  };
  /// Set from other threads; outlives the link in the fleet's hands.
  struct Signal {
    std::atomic<bool> close{false};
  };
  absl::StatusOr<Fleet::Admission> Admit(const v1::Hello& hello);
  void OnHello(replication::Session& session, const v1::Hello& hello);
  void OnFlowOffered(replication::Session& session, replication::FlowNumber flow, const v1::FlowOpen& open);
  void OnFlowForked(replication::Session& session, const replication::Session::Event& event);
  void FollowSpec(replication::Session& session);
  /// Whether this edge holds a copy of the log, or writes it.
  bool IsOfThisEdge(const LogOrigin& origin) const;
  void OfferDown(replication::Session& session);
  /// The down log of a flow; null for another flow.
  LogFlowSource* OfferedSource(replication::FlowNumber flow);
  /// What an alarm about a down flow is called.
  std::string DownSubject(LogFlowSource& source) const;
  void OnFlowHeld(const replication::Session::Event& event);
  /// Ends the alarms about flows that the edge does not have any more.
  void ClearRefused(const v1::EdgeStatus& status);
  /// Flows that were held and are not any more.
  void ClearHeld(const replication::Session& session);

  Fleet& fleet_;
  Metrics& metrics_;
  const std::string edge_;
  const std::function<void()> wake_;
  std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  uint64_t link_ = 0;
  Slot slot_;
  Fence fence_;
  LinkRepair repair_;
  uint64_t spec_sent_ = 0;
  bool down_offered_ = false;  // all that there is, as of spec_sent_
  std::map<LogNumber, Offered> offered_;
  std::map<replication::FlowNumber, std::unique_ptr<LogFlowSink>> sinks_;  // of flows that have not ended
  std::set<LogNumber> taken_;               // logs whose flows were accepted on this link
  std::set<replication::FlowNumber> held_;  // down flows with an alarm
};

}  // namespace selvage
