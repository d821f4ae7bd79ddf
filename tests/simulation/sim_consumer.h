#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fabric/kafka/group/types.h"
#include "tests/simulation/surroundings.h"

namespace selvage::sim {

class SimNode;

/// A Kafka client that is a member of a consumer group of one node: it joins, syncs, commits, leaves, is
/// silent for longer than its session, starts again under another id, and now and then a commit of what it
/// was before comes late. Outlives the node's crashes.
class SimConsumer {
 public:
  /// `instance`: its name as a static member; empty for a dynamic one. The others must outlive it.
  SimConsumer(Surroundings world, SimNode& node, std::string group, std::string instance);

  const std::string& group() const { return group_; }
  /// Has something to do for a while, step by step.
  void Wake();

 private:
  /// What it is in its group.
  struct Membership {
    std::string id;
    int32_t generation = -1;  ///< of the last join; -1: it is to join
    bool synced = false;
    std::vector<int32_t> partitions = {};
  };

  void StepSoon();
  void Step();
  /// The callback of a request: does nothing once the client has given the request up.
  template <class Answer>
  std::function<void(Answer)> Await(void (SimConsumer::*then)(const Answer&));
  std::optional<std::string> instance() const;

  void Join();
  void Joined(const kafka::group::JoinAnswer& answer);
  void Sync();
  void Synced(const kafka::group::SyncAnswer& answer);
  void Leave();
  void Heartbeat();
  void Commit(const Membership& as);
  /// Joins again with the id that it has.
  void Rejoin();
  /// Another process takes its place.
  void StartOver();
  void Heed(kafka::ErrorCode error);

  Surroundings world_;
  SimNode& node_;
  const std::string group_;
  const std::string instance_;
  Membership now_;
  std::vector<Membership> former_;   ///< what it was, as far as something of it may be on its way
  std::vector<std::string> others_;  ///< as the leader, the members of the generation; else empty
  bool skips_assignment_ = false;
  bool waiting_ = false;  ///< for an answer
  uint64_t request_ = 0;  ///< the number of the last one
  int steps_left_ = 0;
  bool step_scheduled_ = false;
};

}  // namespace selvage::sim
