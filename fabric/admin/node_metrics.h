#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fabric/node/alarm_book.h"
#include "fabric/node/damage_control.h"
#include "fabric/node/node_identity.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/log_store.h"
#include "fabric/table/table_store.h"
#include "fabric/telemetry/metrics.h"
#include "fabric/view/view_store.h"
#include "selvage/v1/control.pb.h"

namespace selvage {

class NodeState;

/// What is shown of a node's certificate.
struct CertificateView {
  std::optional<absl::Time> not_after;  ///< nothing when the file cannot be read
  bool usable = true;                   ///< it would carry a connection now
};

/// The metrics of streams, flows, links, tables, views and the store of one node, taken when they are scraped
/// (docs/metrics.md). The number of series is bounded by what operators defined, and by kMetricRowsMax for
/// logs and for flows each.
class NodeMetrics {
 public:
  /// What only the kind of node knows. The functions are called at a scrape, on any thread, and must not
  /// block.
  struct Sources {
    /// One row for each flow.
    std::function<std::vector<v1::FlowStatus>()> flows;
    /// False for a log of a store that was replaced: its edge, stream and partition name another log now.
    std::function<bool(const LogOrigin&)> is_current;
    /// Whether each edge is linked with the core.
    std::function<std::map<std::string, bool>()> links;
    /// Open alarms that edges reported, by edge; nothing at an edge.
    std::function<std::map<std::string, int>()> reported_alarms;
    std::function<CertificateView()> certificate;
  };

  /// What it uses of the node. All of it must outlive it.
  struct Parts {
    const NodeIdentity& identity;
    const Committer& committer;
    LogStore& logs;
    const AlarmBook& alarms;
    const DiskBudget& budget;
    const DamageControl& damage;
    const table::TableStore& tables;
    const view::ViewStore& views;
  };
  static Parts PartsOf(NodeState& node);

  /// Registers the collector; it is withdrawn with this object. `metrics` must outlive it.
  NodeMetrics(Metrics& metrics, const Parts& parts, Sources sources);

 private:
  std::vector<CollectedMetric> Collect();

  const Parts parts_;
  const Sources sources_;
  std::unique_ptr<Metrics::Registration> registration_;  // last: the collector uses the others
};

inline constexpr size_t kMetricRowsMax = 10'000;

}  // namespace selvage
