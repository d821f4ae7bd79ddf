#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/fleet.h"
#include "fabric/control/clock_skew.h"
#include "fabric/control/errands.h"
#include "fabric/control/link_appends.h"
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
  /// `wake` may be called from any thread. `run` runs what may wait for the disk; what it is given must have
  /// run, or be gone, when the fleet ends.
  PeerLink(Fleet& fleet, Metrics& metrics, std::string edge, std::function<void()> wake,
           Errands::Runner run = Errands::AtOnce());
  ~PeerLink() override;

  void Opened(replication::Session&) override {}
  void Handle(replication::Session& session, const replication::Session::Event& event) override;
  void Tick(replication::Session& session) override;
  void Woken(replication::Session& session) override { errands_->Apply(session); }
  void Closed(const absl::Status& reason, absl::Duration retry_after) override;

 private:
  struct Offered {
    std::unique_ptr<LogFlowSource> source;
    replication::FlowNumber flow;
    int watch;
  };
  /// Set from other threads; outlives the link in the fleet's hands.
  struct Signal {
    std::atomic<bool> close{false};
  };
  void OnEvent(replication::Session& session, const replication::Session::Event& event);
  void CloseSuperseded(replication::Session& session);
  void OnHello(const v1::Hello& hello);
  void OnAdmitted(replication::Session& session, const v1::Hello& hello,
                  const absl::StatusOr<Fleet::Admission>& admission);
  void OnFlowOffered(replication::Session& session, replication::FlowNumber flow, const v1::FlowOpen& open);
  void OnLogFound(replication::Session& session, replication::FlowNumber flow, const std::string& subject,
                  const absl::StatusOr<std::shared_ptr<Log>>& log);
  void AcceptFlow(replication::Session& session, replication::FlowNumber flow,
                  const std::shared_ptr<Log>& log);
  void OnFlowForked(const replication::Session::FlowForked& forked);
  void OnFlowEnded(replication::FlowNumber flow, const absl::Status& why);
  void OnFlowHeld(replication::FlowNumber flow, const absl::Status& why);
  /// Ends the alarms about flows that the edge does not have any more.
  void ClearRefused(const v1::EdgeStatus& status);
  /// Ends the alarms about down flows that the edge takes now, or that are not offered any more.
  void ClearHeld(const replication::Session& session);
  void FollowSpec(replication::Session& session);
  /// Whether this edge holds a copy of the log, or writes it.
  bool IsOfThisEdge(const LogOrigin& origin) const;
  void OfferDown();
  void OfferLogs(replication::Session& session, const std::vector<Fleet::DownLog>& down);
  /// The down log of a flow; null for another flow.
  LogFlowSource* OfferedSource(replication::FlowNumber flow);
  /// What an alarm about a down flow is called.
  std::string DownSubject(LogFlowSource& source) const;

  Fleet& fleet_;
  Metrics& metrics_;
  const std::string edge_;
  const std::function<void()> wake_;
  const std::shared_ptr<Errands> errands_;
  std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  int64_t hello_at_ms_ = 0;  // when it came, by the wall clock
  uint64_t link_ = 0;
  Slot slot_;
  Fence fence_;
  LinkAppends appends_;
  LinkRepair repair_;
  uint64_t spec_sent_ = 0;
  bool down_offered_ = false;     // all that there is, as of spec_sent_
  bool down_looked_for_ = false;  // an errand is under way
  std::map<LogNumber, Offered> offered_;
  std::map<replication::FlowNumber, std::unique_ptr<LogFlowSink>> sinks_;  // of flows that have not ended
  std::set<replication::FlowNumber> unanswered_;  // offered by the edge; their logs are looked for
  std::set<LogNumber> taken_;                     // logs whose flows were accepted on this link
  std::set<std::string> held_;  // subjects of alarms about down flows, also of earlier links
  ClockSkewAlarm skew_;
};

}  // namespace selvage
