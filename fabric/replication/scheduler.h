#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "fabric/replication/flow.h"

namespace selvage::replication {

/// Chooses the flow that sends next. The highest priority that wants to send goes first; flows of one
/// priority share by weight (start-time fair queueing). No flow starves: while a higher priority sends and a
/// lower one waits, one byte in kShare goes to the lower priorities, which take turns. A flow that waits for
/// credit counts as waiting. Pure.
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
    bool given_way = false;  ///< a turn of the lower priorities: a higher one waits meanwhile
  };
  static constexpr size_t kShare = 16;
  static constexpr uint32_t kPriorities = 10;

  // The candidates. A call of Add takes constant time, a pick and what follows it the logarithm of their
  // number.
  void Clear();
  void Add(FlowNumber flow, uint32_t priority, uint32_t weight);
  size_t size() const { return size_; }

  /// Picks a candidate for which `may_send` holds; nothing when there is none. Only candidates whose turn it
  /// could be are asked; one that may not send is left out until Unblock. The pick counts only when Sent
  /// follows.
  std::optional<Turn> Pick(absl::FunctionRef<bool(const Candidate&)> may_send);
  /// The candidate picked last sent this much; `more`: it has more to send.
  void Sent(size_t bytes, bool more);
  /// The candidate picked last has nothing to send after all.
  void Drop();
  /// The candidate picked last may not send; it is left out until Unblock.
  void Block();
  /// The candidates that were left out may send again.
  void Unblock();
  void Forget(FlowNumber flow) { served_.erase(flow); }
  /// Flows that it remembers: those that sent something and were not forgotten.
  size_t remembered() const { return served_.size(); }
  /// Names the first broken rule of this state, between two calls; for tests (fabric/base/invariant.h).
  absl::Status CheckInvariants() const;

 private:
  struct Waiting {
    double start;
    Candidate candidate;
  };
  struct Level {
    double virtual_time = 0;       // start of the flow served last
    uint64_t last_turn = 0;        // number of the turn in which it was served last
    std::vector<Waiting> waiting;  // a heap: the smallest start comes first
    std::vector<Waiting> blocked;  // left out until Unblock
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
  size_t overtaken_ = 0;  // bytes sent while a lower priority waited, since its last turn; at most turn_due_
  size_t turn_due_ = kShare << 10;
  uint32_t picked_level_ = 0;
  bool picked_overtakes_ = false;
  bool picked_given_way_ = false;
};

}  // namespace selvage::replication
