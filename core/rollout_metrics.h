#pragma once

#include <memory>
#include <vector>

#include "core/model_rollouts.h"
#include "fabric/telemetry/metrics.h"

namespace selvage {

/// How the rollouts of models stand, taken when it is scraped.
class RolloutMetrics {
 public:
  /// Registers the collector; it is withdrawn with this object. The parameters must outlive it.
  RolloutMetrics(Metrics& metrics, const ModelRollouts& rollouts);

 private:
  std::vector<CollectedMetric> Collect();

  const ModelRollouts& rollouts_;
  std::unique_ptr<Metrics::Registration> registration_;  // last: the collector uses the others
};

}  // namespace selvage
