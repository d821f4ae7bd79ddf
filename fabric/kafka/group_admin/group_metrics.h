#pragma once

#include <memory>
#include <vector>

#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/topics.h"
#include "fabric/telemetry/metrics.h"

namespace selvage::kafka {

inline constexpr size_t kGroupMetricRowsMax = 10'000;

/// How far consumer groups are behind, taken when it is scraped: one series for each partition that a group
/// has committed an offset for, at most kGroupMetricRowsMax. Partitions that are not here (any more) have
/// none.
class GroupMetrics {
 public:
  /// Registers the collector; it is withdrawn with this object. The parameters must outlive it.
  GroupMetrics(Metrics& metrics, const GroupService& groups, Topics& topics);

 private:
  std::vector<CollectedMetric> Collect();

  const GroupService& groups_;
  Topics& topics_;
  std::unique_ptr<Metrics::Registration> registration_;  // last: the collector uses the others
};

}  // namespace selvage::kafka
