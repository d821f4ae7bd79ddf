#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "core/admitter.h"
#include "core/edge_links.h"
#include "core/edge_logs.h"
#include "core/edge_reports.h"
#include "core/edge_specs.h"
#include "core/peer_streams.h"
#include "core/peer_tables.h"
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
#include "fabric/telemetry/metrics.h"

namespace selvage {

/// The core's side of one edge's link: admits it, keeps its spec up to date, takes its status. What flows
/// over the link is in fabric/link. Called by the link's driver, one call at a time.
class PeerLink : public replication::LinkHandler {
 public:
  /// What links of edges use of the core. All of it must outlive them and their errands.
  struct Parts {
    Clock& clock;
    const StreamCatalog& catalog;
    AlarmBook& alarms;
    const DiskBudget& budget;
    StreamFlows::Parts streams;
    RepairFlows::Parts repairs;
    Admitter& admitter;
    EdgeLinks& links;
    EdgeReports& reports;
    const EdgeSpecs& specs;
    EdgeLogs& logs;
    PeerTables::Parts tables;
    Random& random;
    model::ModelPieces* models;  ///< what is given to edges; null: nothing
  };

  /// `edge` as the certificate says. `metrics`, which counts what is refused, must outlive it. `wake` may be
  /// called from any thread. `run` runs what may wait for the disk; what it is given must have run, or be
  /// gone, when the parts end.
  PeerLink(const Parts& parts, Metrics& metrics, std::string edge, std::function<void()> wake,
           Errands::Runner run = Errands::AtOnce());
  ~PeerLink() override { link_.End(); }

  void Opened(replication::Session&) override {}
  void Handle(replication::Session& session, const replication::Session::Event& event) override;
  void Tick(replication::Session& session) override;
  void Woken(replication::Session& session) override;
  void Closed(const absl::Status& reason, absl::Duration retry_after) override;

 private:
  /// Set from other threads; outlives the link in the fleet's hands.
  struct Signal {
    std::atomic<bool> close{false};
  };
  void OnEvent(const replication::Session::Event& event);
  void CloseSuperseded(replication::Session& session);
  void OnHello(const v1::Hello& hello);
  void OnAdmitted(replication::Session& session, const v1::Hello& hello,
                  const absl::StatusOr<Admission>& admission);
  void TakeStatus(const std::string& body, const IncomingDocument::Done& done);
  void FollowSpec();

  const Parts parts_;
  Metrics& metrics_;
  const std::string edge_;
  const std::function<void()> wake_;
  const std::shared_ptr<Errands> errands_;
  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  LinkAppends appends_;
  DocumentSource spec_;
  const std::shared_ptr<PeerStreams> streams_end_;
  StreamFlows streams_;
  RepairFlows repairs_;
  const std::shared_ptr<PeerTables> tables_end_;
  TableFlows tables_;
  DocumentFlows documents_;
  CallFlows calls_;
  ChunkFlows chunks_;
  Link link_;
  int64_t hello_at_ms_ = 0;  // when it came, by the wall clock
  uint64_t link_number_ = 0;
  uint64_t spec_changes_seen_ = 0;
  ClockSkewAlarm skew_;
};

}  // namespace selvage
