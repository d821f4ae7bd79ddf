#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "fabric/replication/flow.h"

namespace selvage::replication {

/// Chooses the flow that sends next. The highest priority that wants to send goes first; flows of one
/// priority share by weight (start-time fair queueing). No flow starves: while a higher priority sends and a
/// lower one waits, one byte in kShare goes to the lower priorities, which take turns. A flow that waits for
/// credit counts as waiting. Pure.
class Scheduler {
 public:
  struct Candidate {
    FlowNumber flow;
    uint32_t priority = 0;
    uint32_t weight = 1;
    bool ready = true;  ///< false: has something to send, but may not now
  };
  struct Turn {
    size_t index = 0;        ///< in the candidates
    bool given_way = false;  ///< a turn of the lower priorities: a higher one waits meanwhile
  };
  static constexpr size_t kShare = 16;
  static constexpr uint32_t kPriorities = 10;

  /// Picks a ready candidate; nothing when none is ready. The pick counts only when Sent follows.
  std::optional<Turn> Pick(const std::vector<Candidate>& candidates);
  /// The flow picked last sent this much.
  void Sent(const Candidate& flow, size_t bytes);
  void Forget(FlowNumber flow) { served_.erase(flow); }
  /// Flows that it remembers: those that sent something and were not forgotten.
  size_t remembered() const { return served_.size(); }
  /// Names the first broken rule of this state, between two calls; for tests (fabric/base/invariant.h).
  absl::Status CheckInvariants() const;

 private:
  struct Level {
    double virtual_time = 0;  // start of the flow served last
    uint64_t last_turn = 0;   // number of the turn in which it was served last
  };
  static uint32_t LevelOf(const Candidate& c) {
    return c.priority < kPriorities ? c.priority : kPriorities - 1;
  }
  double StartOf(const Candidate& flow) const;

  std::array<Level, kPriorities> levels_;
  std::map<FlowNumber, double> served_;  // bytes over weight, per flow: the smallest is next
  uint64_t turn_ = 0;
  size_t overtaken_ = 0;  // bytes sent while a lower priority waited, since its last turn; at most turn_due_
  size_t turn_due_ = kShare << 10;
  bool picked_overtakes_ = false;
  bool picked_given_way_ = false;
};

}  // namespace selvage::replication
