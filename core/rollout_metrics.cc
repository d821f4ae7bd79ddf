#include "core/rollout_metrics.h"

#include <map>
#include <string>
#include <utility>

namespace selvage {

RolloutMetrics::RolloutMetrics(Metrics& metrics, const ModelRollouts& rollouts)
    : rollouts_(rollouts), registration_(metrics.AddCollector([this] { return Collect(); })) {}

std::vector<CollectedMetric> RolloutMetrics::Collect() {
  CollectedMetric counts{.name = "selvage_model_rollouts",
                         .help = "Rollouts of models by state, without those that ended long ago.",
                         .type = CollectedMetric::Type::kGauge,
                         .samples = {}};
  CollectedMetric edges{.name = "selvage_model_rollout_edges",
                        .help = "Edges of the rollouts that run or pause, by what became of them.",
                        .type = CollectedMetric::Type::kGauge,
                        .samples = {}};
  std::map<std::string, int> states{{"running", 0}, {"paused", 0}, {"aborted", 0}, {"completed", 0}};
  for (const v1::ModelRollout& rollout : rollouts_.List("")) {
    const bool runs = rollout.state() == v1::MODEL_ROLLOUT_RUNNING;
    const bool pauses = rollout.state() == v1::MODEL_ROLLOUT_PAUSED;
    ++states[runs                                           ? "running"
             : pauses                                       ? "paused"
             : rollout.state() == v1::MODEL_ROLLOUT_ABORTED ? "aborted"
                                                            : "completed"];
    if (!runs && !pauses) continue;
    for (const auto& [outcome, count] : std::map<std::string, uint32_t>{{"waiting", rollout.waiting()},
                                                                        {"pending", rollout.pending()},
                                                                        {"committed", rollout.committed()},
                                                                        {"failed", rollout.failed()},
                                                                        {"unreached", rollout.unreached()},
                                                                        {"excluded", rollout.excluded()}}) {
      edges.samples.push_back({{{"model", rollout.plan().model()},
                                {"rollout", std::to_string(rollout.id())},
                                {"outcome", outcome}},
                               static_cast<double>(count)});
    }
  }
  for (const auto& [state, count] : states) {
    counts.samples.push_back({{{"state", state}}, static_cast<double>(count)});
  }
  return {std::move(counts), std::move(edges)};
}

}  // namespace selvage
