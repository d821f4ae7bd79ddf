#pragma once

#include <functional>
#include <memory>
#include <string>

#include "edge/edge_state.h"
#include "edge/status_report.h"
#include "edge/uplink_streams.h"
#include "edge/uplink_tables.h"
#include "fabric/link/call_flows.h"
#include "fabric/link/chunk_flows.h"
#include "fabric/link/clock_skew.h"
#include "fabric/link/document_flows.h"
#include "fabric/link/errands.h"
#include "fabric/link/link.h"
#include "fabric/link/link_appends.h"
#include "fabric/link/repair_flows.h"
#include "fabric/link/stream_flows.h"
#include "fabric/link/table_flows.h"
#include "fabric/replication/link_handler.h"

namespace selvage {

/// The edge's side of one link: says hello, takes the welcome and the spec, and reports the status. What
/// flows over the link is in fabric/link. Called by the link's driver, one call at a time.
class Uplink : public replication::LinkHandler {
 public:
  /// What a link uses of the edge. All of it must outlive the link and its errands.
  struct Parts {
    EdgeState& state;
    const NodeIdentity& identity;
    Clock& clock;
    Random& random;
    const StreamCatalog& catalog;
    AlarmBook& alarms;
    const DiskBudget& budget;
    StreamFlows::Parts streams;
    RepairFlows::Parts repairs;
    table::TableStore& tables;
    model::ChunkFetchers* chunk_fetchers = nullptr;  ///< who fetches models over the link, if anybody
  };
  static Parts PartsOf(NodeState& node, EdgeState& state);

  /// `wake` may be called from any thread to have the session looked at. `max_rate` is what the configuration
  /// says, for when the spec says nothing. `run` runs what may wait for the disk; what it is given must have
  /// run, or be gone, when the parts end. `serve` makes calls of the admin service here that come over the
  /// link; without it there are none.
  Uplink(const Parts& parts, uint64_t max_rate, std::function<void()> wake,
         Errands::Runner run = Errands::AtOnce(), NodeCaller serve = {});
  ~Uplink() override { link_.End(); }

  void Opened(replication::Session& session) override;
  void Handle(replication::Session& session, const replication::Session::Event& event) override;
  void Tick(replication::Session& session) override;
  void Woken(replication::Session& session) override { link_.Woken(session); }
  void Closed(const absl::Status& reason, absl::Duration retry_after) override;

 private:
  void OnEvent(const replication::Session::Event& event);
  void OnClosed(const absl::Status& why);
  void OnWelcome(const v1::Welcome& welcome);
  void OnWelcomeTaken(replication::Session& session, const v1::Welcome& welcome, const absl::Status& taken);
  IncomingDocument SpecDocument();
  void TakeSpec(const std::string& body, const IncomingDocument::Done& done);
  void OnSpecApplied(replication::Session& session, const v1::EdgeSpec& spec,
                     const absl::StatusOr<bool>& applied);
  void EndRefusals(const std::string& core);

  const Parts parts_;
  const uint64_t max_rate_;
  const std::function<void()> wake_;
  const std::shared_ptr<Errands> errands_;
  LinkAppends appends_;
  const std::shared_ptr<UplinkStreams> streams_end_;
  StatusReport status_;
  StreamFlows streams_;
  RepairFlows repairs_;
  const std::shared_ptr<UplinkTables> tables_end_;
  TableFlows tables_;
  DocumentFlows documents_;
  CallFlows calls_;
  ChunkFlows chunks_;
  Link link_;
  int64_t welcome_at_ms_ = 0;  // when it came, by the wall clock
  bool welcomed_ = false;      // what the welcome says is stored
  Fence fence_;
  std::string core_;
  ClockSkewAlarm skew_;
};

}  // namespace selvage
