#include "fabric/replication/scheduler.h"

#include <algorithm>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/invariant.h"

namespace selvage::replication {

double Scheduler::StartOf(const Candidate& candidate) const {
  // A flow that had nothing to send does not collect a claim on the past.
  const double now = levels_[LevelOf(candidate)].virtual_time;
  const auto it = served_.find(candidate.flow);
  return it == served_.end() ? now : std::max(it->second, now);
}

bool Scheduler::Below(const Waiting& a, const Waiting& b) {
  return a.start != b.start ? a.start > b.start : a.candidate.index > b.candidate.index;
}

void Scheduler::Clear() {
  for (Level& level : levels_) {
    level.waiting.clear();
    level.blocked.clear();
  }
  size_ = 0;
}

void Scheduler::Add(FlowNumber flow, uint32_t priority, uint32_t weight) {
  Push({flow, priority, weight, size_});
  ++size_;
}

void Scheduler::Push(const Candidate& candidate) {
  std::vector<Waiting>& heap = levels_[LevelOf(candidate)].waiting;
  heap.push_back({StartOf(candidate), candidate});
  std::push_heap(heap.begin(), heap.end(), Below);
}

Scheduler::Waiting Scheduler::Pop(Level& level) {
  std::pop_heap(level.waiting.begin(), level.waiting.end(), Below);
  Waiting first = level.waiting.back();
  level.waiting.pop_back();
  return first;
}

bool Scheduler::AnyReady(Level& level, absl::FunctionRef<bool(const Candidate&)> may_send) {
  while (!level.waiting.empty() && !may_send(level.waiting.front().candidate)) {
    level.blocked.push_back(Pop(level));
  }
  return !level.waiting.empty();
}

std::optional<Scheduler::Turn> Scheduler::Pick(absl::FunctionRef<bool(const Candidate&)> may_send) {
  uint32_t lowest = kPriorities;
  std::optional<uint32_t> highest;
  for (uint32_t i = kPriorities; i-- > 0;) {
    Level& level = levels_[i];
    if (!level.waiting.empty() || !level.blocked.empty()) lowest = i;
    if (!highest && AnyReady(level, may_send)) highest = i;
  }
  if (!highest) return std::nullopt;
  uint32_t picked = *highest;
  if (overtaken_ >= turn_due_) {
    for (uint32_t lower = 0; lower < *highest; ++lower) {
      if (!AnyReady(levels_[lower], may_send)) continue;
      if (picked == *highest || levels_[lower].last_turn < levels_[picked].last_turn) picked = lower;
    }
  }
  picked_level_ = picked;
  picked_given_way_ = picked < *highest;
  picked_overtakes_ = lowest < picked && !picked_given_way_;
  return Turn{levels_[picked].waiting.front().candidate, picked_given_way_};
}

void Scheduler::Sent(size_t bytes, bool more) {
  Level& level = levels_[picked_level_];
  SELVAGE_CHECK(!level.waiting.empty());
  const Candidate candidate = Pop(level).candidate;
  const double start = StartOf(candidate);
  served_[candidate.flow] = start + static_cast<double>(bytes) / std::max<uint32_t>(1, candidate.weight);
  level.virtual_time = start;
  level.last_turn = ++turn_;
  if (picked_given_way_) {
    // The next turn is due when this one has been paid for.
    overtaken_ = 0;
    turn_due_ = bytes * (kShare - 1);
  } else if (picked_overtakes_) {
    overtaken_ = std::min(overtaken_ + bytes, turn_due_);
  }
  if (more) {
    Push(candidate);
  } else {
    --size_;
  }
}

void Scheduler::Drop() {
  Pop(levels_[picked_level_]);
  --size_;
}

void Scheduler::Block() {
  Level& level = levels_[picked_level_];
  level.blocked.push_back(Pop(level));
}

void Scheduler::Unblock() {
  for (Level& level : levels_) {
    for (const Waiting& blocked : std::exchange(level.blocked, {})) Push(blocked.candidate);
  }
}

absl::Status Scheduler::CheckInvariants() const {
  size_t candidates = 0;
  bool all_heaps = true;
  for (const Level& level : levels_) {
    candidates += level.waiting.size() + level.blocked.size();
    all_heaps &= std::is_heap(level.waiting.begin(), level.waiting.end(), Below);
  }
  return FirstBroken({
      {candidates == size_, "each candidate waits or is left out"},
      {all_heaps, "the candidate with the smallest start comes first"},
      {overtaken_ <= turn_due_,
       "what the lower priorities were overtaken by is counted until their turn is due"},
      {!picked_given_way_ || !picked_overtakes_,
       "a turn that was given to a lower priority overtakes nobody"},
  });
}

}  // namespace selvage::replication
