#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "edge/edge_state.h"
#include "fabric/admin/admin_backend.h"
#include "fabric/admin/node_metrics.h"

namespace selvage {

/// How the link stands, for operators.
struct LinkView {
  bool up = false;
  std::string detail;  ///< the core's address, or why there is no link
};

/// An edge as selvagectl sees it: its own logs are written here, what came from the core is read. The
/// definitions belong to the core; only what the core does not know yet is changed here.
class EdgeAdmin : public AdminBackend {
 public:
  /// What operators reach. All of it must outlive it.
  struct Parts {
    EdgeState& state;
    const NodeIdentity& identity;
    LogStore& logs;
    const StreamCatalog& catalog;
    AlarmBook& alarms;
  };
  static Parts PartsOf(NodeState& node, EdgeState& state);

  /// `link` may be called from any thread.
  EdgeAdmin(const Parts& parts, std::function<LinkView()> link) : parts_(parts), link_(std::move(link)) {}

  absl::StatusOr<v1::StreamDefinition> CreateStream(const v1::StreamDefinition& definition) override;
  absl::StatusOr<v1::StreamDefinition> SetStream(const v1::SetStreamRequest& request) override;
  /// More partitions for a local stream. Errors: those of NodeStreams::AddPartitions, "wrong_node".
  absl::Status AddPartitions(const std::string& stream, int32_t partitions, bool validate_only);
  /// What CreateStream would make.
  absl::StatusOr<v1::StreamDefinition> CheckNew(const v1::StreamDefinition& definition);
  absl::StatusOr<int> DeleteStream(const std::string& stream) override;
  absl::StatusOr<v1::StreamDefinition> RenameStream(const std::string& stream,
                                                    const std::string& to) override;
  std::vector<v1::LogSummary> Logs(const std::string& stream) override;
  absl::StatusOr<std::shared_ptr<Log>> FindLog(const v1::LogAddress& address, LogUse use) override;
  absl::StatusOr<std::vector<v1::EdgeSummary>> ListEdges(const v1::ListEdgesRequest& request) override;
  absl::StatusOr<v1::EdgeSummary> SetEdge(const v1::SetEdgeRequest& request) override;
  absl::StatusOr<v1::EdgeSummary> RetireEdge(const std::string& edge) override;
  absl::StatusOr<std::vector<v1::LogSummary>> ListOrigins(const v1::ListOriginsRequest& request) override;
  void CallEdge(const std::string& edge, NodeCall call, CallDone done) override;
  std::map<StoreId, std::string> EdgesOfStores() override { return {}; }
  std::vector<v1::AlarmDocument> ListAlarms(bool also_resolved) override;
  int OpenAlarms() override;
  absl::StatusOr<v1::AlarmDocument> ResolveAlarm(uint64_t id, const std::string& action) override;
  bool IsOfEdge(const LogOrigin& origin, const std::string& edge) override;
  absl::StatusOr<v1::GetStatusResponse> Status(const v1::GetStatusRequest& request) override;

  /// What the edge gives to NodeMetrics. The admin must outlive the metrics.
  NodeMetrics::Sources MetricSources(std::function<CertificateView()> certificate);

 private:
  const Parts parts_;
  const std::function<LinkView()> link_;
};

}  // namespace selvage
