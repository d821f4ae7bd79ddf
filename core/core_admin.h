#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/admitter.h"
#include "core/edge_links.h"
#include "core/edge_logs.h"
#include "core/edge_registry.h"
#include "core/edge_reports.h"
#include "core/edge_specs.h"
#include "core/fleet_streams.h"
#include "core/fleet_view.h"
#include "fabric/admin/admin_backend.h"
#include "fabric/admin/node_metrics.h"

namespace selvage {

/// The core as selvagectl sees it: the fleet, its definitions, replicas of what edges write, and the logs
/// that are written here.
class CoreAdmin : public AdminBackend {
 public:
  /// What operators reach. All of it must outlive it.
  struct Parts {
    const StreamCatalog& catalog;
    LogStore& logs;
    AlarmBook& alarms;
    FleetStreams& streams;
    EdgeLogs& edge_logs;
    const EdgeRegistry& edges;
    EdgeSpecs& specs;
    Admitter& admitter;
    const EdgeLinks& links;
    const EdgeReports& reports;
    const FleetView& view;
  };

  CoreAdmin(const Parts& parts, std::string version) : parts_(parts), version_(std::move(version)) {}

  absl::StatusOr<v1::StreamDefinition> CreateStream(const v1::StreamDefinition& definition) override;
  absl::StatusOr<v1::StreamDefinition> SetStream(const v1::SetStreamRequest& request) override;
  /// Also the replicas of what edges wrote go; the edges follow with the next spec.
  absl::StatusOr<int> DeleteStream(const std::string& stream) override;
  absl::StatusOr<v1::StreamDefinition> RenameStream(const std::string& stream,
                                                    const std::string& to) override;
  std::vector<v1::LogSummary> Logs(const std::string& stream) override;
  absl::StatusOr<std::shared_ptr<Log>> FindLog(const v1::LogAddress& address, LogUse use) override;
  absl::StatusOr<std::vector<v1::EdgeSummary>> ListEdges(const v1::ListEdgesRequest& request) override;
  /// Errors: "invalid_label", "unknown_edge".
  absl::StatusOr<v1::EdgeSummary> SetEdge(const v1::SetEdgeRequest& request) override;
  absl::StatusOr<v1::EdgeSummary> RetireEdge(const std::string& edge) override;
  absl::StatusOr<std::vector<v1::LogSummary>> ListOrigins(const v1::ListOriginsRequest& request) override;
  void CallEdge(const std::string& edge, NodeCall call, CallDone done) override;
  std::map<StoreId, std::string> EdgesOfStores() override;
  /// The core's own, then those that edges reported last, each with its edge as origin.
  std::vector<v1::AlarmDocument> ListAlarms(bool also_resolved) override;
  int OpenAlarms() override;
  /// Only the core's own: for an edge's, "wrong_node" says where.
  absl::StatusOr<v1::AlarmDocument> ResolveAlarm(uint64_t id, const std::string& action) override;
  bool IsOfEdge(const LogOrigin& origin, const std::string& edge) override { return origin.edge == edge; }
  absl::StatusOr<v1::GetStatusResponse> Status(const v1::GetStatusRequest& request) override;

  /// What the core gives to NodeMetrics. The admin must outlive the metrics.
  NodeMetrics::Sources MetricSources(std::function<CertificateView()> certificate);

 private:
  absl::StatusOr<std::shared_ptr<Log>> FindReplica(const v1::LogAddress& address, int32_t partitions,
                                                   LogUse use);
  /// Partition `address.partition` of the topic: slot × P + p.
  absl::StatusOr<std::shared_ptr<Log>> FindTopicPartition(const v1::LogAddress& address, int32_t partitions);
  absl::StatusOr<std::shared_ptr<Log>> FindForEdge(const v1::LogAddress& address, int32_t partitions,
                                                   LogUse use);
  absl::StatusOr<std::shared_ptr<Log>> FindShared(const v1::LogAddress& address, int32_t partitions);

  /// Why an edge cannot be called.
  absl::Status NoLinkOf(const std::string& edge) const;

  const Parts parts_;
  const std::string version_;
};

}  // namespace selvage
