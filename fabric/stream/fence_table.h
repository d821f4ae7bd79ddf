#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "fabric/stream/log_store.h"

namespace selvage {

/// The newest session epoch of each peer, as the committer's queue has it: a fence is a task in that queue,
/// and every replica append is checked against it there, so a half-open old link can never write (DESIGN
/// section 7, rule 4). Touched only by tasks while they are staged.
class FenceTable {
 public:
  /// Raises the peer's epoch; a lower one changes nothing.
  void Raise(const Fence& fence) {
    SessionEpoch& epoch = epochs_[fence.peer];
    if (fence.epoch > epoch) epoch = fence.epoch;
  }
  bool Allows(const Fence& fence) const {
    auto it = epochs_.find(fence.peer);
    return it != epochs_.end() && it->second == fence.epoch;
  }

 private:
  absl::flat_hash_map<std::string, SessionEpoch> epochs_;
};

}  // namespace selvage
