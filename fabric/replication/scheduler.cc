#include "fabric/replication/scheduler.h"

#include <algorithm>

#include "fabric/base/invariant.h"

namespace selvage::replication {

double Scheduler::StartOf(const Candidate& flow) const {
  // A flow that had nothing to send does not collect a claim on the past.
  double now = levels_[LevelOf(flow)].virtual_time;
  auto it = served_.find(flow.flow);
  return it == served_.end() ? now : std::max(it->second, now);
}

std::optional<Scheduler::Turn> Scheduler::Pick(const std::vector<Candidate>& candidates) {
  std::array<bool, kPriorities> ready{};
  uint32_t lowest = kPriorities;
  std::optional<uint32_t> highest;
  for (const Candidate& c : candidates) {
    lowest = std::min(lowest, LevelOf(c));
    if (!c.ready) continue;
    ready[LevelOf(c)] = true;
    highest = std::max(highest.value_or(0), LevelOf(c));
  }
  if (!highest) return std::nullopt;
  uint32_t level = *highest;
  if (overtaken_ >= turn_due_) {
    for (uint32_t lower = 0; lower < *highest; ++lower) {
      if (!ready[lower]) continue;
      if (level == *highest || levels_[lower].last_turn < levels_[level].last_turn) level = lower;
    }
  }
  picked_given_way_ = level < *highest;
  picked_overtakes_ = lowest < level && !picked_given_way_;

  std::optional<size_t> best;
  double best_start = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (!candidates[i].ready || LevelOf(candidates[i]) != level) continue;
    double start = StartOf(candidates[i]);
    if (best && start >= best_start) continue;
    best = i;
    best_start = start;
  }
  return Turn{.index = *best, .given_way = picked_given_way_};
}

void Scheduler::Sent(const Candidate& flow, size_t bytes) {
  Level& level = levels_[LevelOf(flow)];
  double start = StartOf(flow);
  served_[flow.flow] = start + static_cast<double>(bytes) / std::max<uint32_t>(1, flow.weight);
  level.virtual_time = start;
  level.last_turn = ++turn_;
  if (picked_given_way_) {
    // The next turn is due when this one has been paid for.
    overtaken_ = 0;
    turn_due_ = bytes * (kShare - 1);
  } else if (picked_overtakes_) {
    overtaken_ = std::min(overtaken_ + bytes, turn_due_);
  }
}

absl::Status Scheduler::CheckInvariants() const {
  return FirstBroken({
      {overtaken_ <= turn_due_,
       "what the lower priorities were overtaken by is counted until their turn is due"},
      {!picked_given_way_ || !picked_overtakes_,
       "a turn that was given to a lower priority overtakes nobody"},
  });
}

}  // namespace selvage::replication
