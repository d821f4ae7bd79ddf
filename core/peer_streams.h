#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/edge_links.h"
#include "core/edge_logs.h"
#include "fabric/link/document_flows.h"
#include "fabric/link/stream_flows.h"
#include "fabric/telemetry/metrics.h"

namespace selvage {

/// The core's part in the streams on the link of one edge: takes its up streams, offers its down streams once
/// the edge has the spec that names them, and branches a down log of which the edge holds another history.
/// Belongs to one link.
class PeerStreams : public StreamEnd {
 public:
  /// What it uses of the core. All of it must outlive the errands.
  struct Parts {
    const StreamCatalog& catalog;
    AlarmBook& alarms;
    EdgeLinks& links;
    EdgeLogs& logs;
  };

  /// `metrics` and `spec` must outlive the link.
  PeerStreams(const Parts& parts, Metrics& metrics, std::string edge, std::shared_ptr<Errands> errands,
              const DocumentSource& spec)
      : parts_(parts), metrics_(metrics), edge_(std::move(edge)), errands_(std::move(errands)), spec_(spec) {}

  /// The edge is admitted to this slot; its link has this number among those that are up.
  void Admitted(Slot slot, uint64_t link) {
    slot_ = slot;
    link_ = link;
  }
  /// Whether this edge holds a copy of the log, or writes it.
  bool IsOfThisEdge(const LogOrigin& origin) const;
  /// Ends the alarms about flows that the edge does not have any more.
  void ClearRefused(const v1::EdgeStatus& status);

  absl::StatusOr<std::vector<std::shared_ptr<LogFlowSource>>> Outgoing() override;
  absl::StatusOr<std::shared_ptr<Log>> LogFor(const v1::FlowOpen& open) override;
  std::optional<uint64_t> outgoing_version() override;
  void OnTaken(const v1::FlowOpen& open, Log& log) override;
  void OnRefused(const v1::FlowOpen& open, const absl::Status& why) override;
  void OnEnded(Log& log, const absl::Status& why) override;
  void OnForked(replication::Session& session, std::shared_ptr<Log> log, const LogPosition& common) override;
  std::string AlarmSubject(const LogOrigin& origin) const override;
  std::string AlarmPeer() const override { return edge_; }

 private:
  const Parts parts_;
  Metrics& metrics_;
  const std::string edge_;
  const std::shared_ptr<Errands> errands_;
  const DocumentSource& spec_;
  Slot slot_;
  uint64_t link_ = 0;
  std::map<LogNumber, std::shared_ptr<LogFlowSource>> sources_;  // of the errands: as Outgoing gave them last
};

}  // namespace selvage
