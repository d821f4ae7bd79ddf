#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/edge_links.h"
#include "core/edge_registry.h"
#include "core/edge_reports.h"
#include "core/edge_specs.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/admin.pb.h"
#include "selvage/v1/control.pb.h"

namespace selvage {

/// What operators are shown of the edges: what was decided of each, whether it is linked and what it
/// reported, put together when somebody looks. Safe to use from several threads.
class FleetView {
 public:
  /// All of them must outlive it.
  FleetView(LogStore& logs, const EdgeRegistry& edges, const EdgeSpecs& specs, const EdgeLinks& links,
            const EdgeReports& reports)
      : logs_(logs), edges_(edges), specs_(specs), links_(links), reports_(reports) {}

  std::vector<v1::EdgeSummary> Summaries() const;
  /// Error: "unknown_edge".
  absl::StatusOr<v1::EdgeSummary> Summary(const std::string& edge) const;
  /// Which edges are linked; every edge has a row.
  std::map<std::string, bool> Connected() const;
  /// One row for each flow of each edge (or of one), as the core sees it.
  std::vector<v1::FlowStatus> FlowStatuses(const std::string& only) const;

 private:
  /// An edge's end of its flows as it is known here.
  struct Standing {
    std::string edge;
    Slot slot;
    bool connected;
    bool fresh;                      ///< reported since it linked
    std::set<LogNumber> open_flows;  ///< that this end takes
  };
  v1::EdgeSummary SummaryOf(const v1::StoredEdge& edge) const;
  v1::FlowStatus RowOf(const Standing& edge, v1::FlowStatus flow) const;

  LogStore& logs_;
  const EdgeRegistry& edges_;
  const EdgeSpecs& specs_;
  const EdgeLinks& links_;
  const EdgeReports& reports_;
};

}  // namespace selvage
