#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "fabric/replication/flow.h"

namespace selvage::replication {

/// Whose turn it is. The highest priority that wants to send goes first; within a priority flows share by
/// weight (start-time fair queueing). Nothing starves: of the bytes sent while somebody was overtaken, the
/// lower priorities get one in kShare, taking turns. Who waits for credit is overtaken as well, and keeps the
/// claim to a turn. Pure.
class Scheduler {
 public:
  /// A flow that has something to send.
  struct Candidate {
    FlowNumber flow;
    uint32_t priority = 0;
    uint32_t weight = 1;
    size_t index = 0;  ///< how many were added before it
  };
  struct Turn {
    Candidate candidate;
    bool given_way = false;  ///< a higher priority waits: the turn that keeps the lower ones from starving
  };
  static constexpr size_t kShare = 16;
  static constexpr uint32_t kPriorities = 10;

  // Who has something to send. To begin with nobody; adding costs a step, picking and what follows it the
  // logarithm of how many there are.
  void Clear();
  void Add(FlowNumber flow, uint32_t priority, uint32_t weight);
  size_t size() const { return size_; }

  /// Picks one for which `may_send` holds; nothing when there is none. It is asked of those whose turn it
  /// could be, and the others are left out until Unblock. The pick counts only when Sent follows.
  std::optional<Turn> Pick(absl::FunctionRef<bool(const Candidate&)> may_send);
  /// The candidate picked last sent this much, and has more to send or not.
  void Sent(size_t bytes, bool more);
  /// The candidate picked last has nothing to send after all.
  void Drop();
  /// The candidate picked last may not send; left out until Unblock.
  void Block();
  /// Those that were left out may send again.
  void Unblock();
  void Forget(FlowNumber flow) { served_.erase(flow); }

 private:
  struct Waiting {
    double start;
    Candidate candidate;
  };
  struct Level {
    double virtual_time = 0;       // start of the flow served last
    uint64_t last_turn = 0;        // number of the turn in which it was served last
    std::vector<Waiting> waiting;  // a heap: the smallest start comes first
    std::vector<Waiting> blocked;  // that may not send for now
  };
  static uint32_t LevelOf(const Candidate& c) {
    return c.priority < kPriorities ? c.priority : kPriorities - 1;
  }
  /// Of two starts the later is below; of equal ones the flow that was added later.
  static bool Below(const Waiting& a, const Waiting& b);
  double StartOf(const Candidate& candidate) const;
  void Push(const Candidate& candidate);
  static Waiting Pop(Level& level);
  /// Whether anybody of the level may send; then the first of its heap may.
  static bool AnyReady(Level& level, absl::FunctionRef<bool(const Candidate&)> may_send);

  std::array<Level, kPriorities> levels_;
  size_t size_ = 0;                      // of all that waits or is blocked
  std::map<FlowNumber, double> served_;  // bytes over weight, per flow: the smallest is next
  uint64_t turn_ = 0;
  size_t overtaken_ = 0;  // bytes sent over others since their last turn; up to what makes a turn due
  size_t turn_due_ = kShare << 10;
  uint32_t picked_level_ = 0;
  bool picked_overtakes_ = false;
  bool picked_given_way_ = false;
};

}  // namespace selvage::replication
