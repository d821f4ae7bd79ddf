#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "fabric/replication/flow.h"

namespace selvage::replication {

/// Whose turn it is. The highest priority that wants to send goes first; within a priority flows share by weight.
/// Nothing starves: after kTurnsOverOthers frames in a row that overtook somebody, the lower ones get one. Pure.
class Scheduler {
 public:
  struct Candidate {
    FlowNumber flow;
    uint32_t priority = 0;
    uint32_t weight = 1;
  };
  static constexpr int kTurnsOverOthers = 15;

  /// Picks among `candidates` (not empty).
  FlowNumber Pick(const std::vector<Candidate>& candidates);
  /// The picked flow sent this much.
  void Sent(const Candidate& flow, size_t bytes);
  void Forget(FlowNumber flow) { served_.erase(flow); }

 private:
  std::map<FlowNumber, double> served_;  // bytes over weight: the smallest is next (start-time fair queueing)
  double virtual_time_ = 0;
  int turns_over_others_ = 0;
};

}  // namespace selvage::replication
