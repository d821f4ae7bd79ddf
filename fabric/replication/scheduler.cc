#include "fabric/replication/scheduler.h"

#include <algorithm>

#include "fabric/base/check.h"

namespace selvage::replication {

FlowNumber Scheduler::Pick(const std::vector<Candidate>& candidates) {
  SELVAGE_CHECK(!candidates.empty());
  uint32_t highest = 0;
  for (const Candidate& c : candidates) highest = std::max(highest, c.priority);
  bool overtakes = std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& c) { return c.priority < highest; });
  bool lower_turn = overtakes && turns_over_others_ >= kTurnsOverOthers;
  turns_over_others_ = overtakes && !lower_turn ? turns_over_others_ + 1 : 0;

  const Candidate* best = nullptr;
  double best_start = 0;
  for (const Candidate& c : candidates) {
    if ((c.priority < highest) != lower_turn) continue;
    auto it = served_.find(c.flow);
    // A flow that had nothing to send does not collect a claim on the past.
    double start = it == served_.end() ? virtual_time_ : std::max(it->second, virtual_time_);
    if (best == nullptr || start < best_start) {
      best = &c;
      best_start = start;
    }
  }
  SELVAGE_CHECK(best != nullptr);
  return best->flow;
}

void Scheduler::Sent(const Candidate& flow, size_t bytes) {
  double& served = served_[flow.flow];
  double start = std::max(served, virtual_time_);
  served = start + static_cast<double>(bytes) / std::max<uint32_t>(1, flow.weight);
  virtual_time_ = start;
}

}  // namespace selvage::replication
