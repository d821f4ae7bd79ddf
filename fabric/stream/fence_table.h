#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "fabric/storage/committer.h"
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

/// Raises the fences of several peers through the committer's queue, in one batch with what `also` stages;
/// waits until it is durable. Both must outlive the call.
absl::Status RaiseFences(
    Committer& committer, FenceTable& table, const std::vector<Fence>& fences,
    const std::function<absl::Status(WriteBatch&)>& also = [](WriteBatch&) { return absl::OkStatus(); });

}  // namespace selvage
