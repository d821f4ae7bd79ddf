#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "fabric/kafka/group/types.h"

namespace selvage::kafka::group {

/// The committed offsets of one group. What it tells is durable; commits on their way to the disk are only
/// counted, so that nothing is expired under them.
class OffsetBook {
 public:
  bool empty() const { return slots_.empty(); }
  /// Partitions, with those whose first commit is on its way.
  size_t size() const { return slots_.size(); }
  /// Memory that peers made it take.
  size_t bytes() const { return bytes_; }
  /// The newest wall time of a durable commit; 0 when there is none.
  int64_t newest_ms() const;
  bool Contains(const TopicPartition& at) const { return slots_.contains(at); }

  /// Nullptr when nothing durable was committed for it. Valid until the next change.
  const CommittedOffset* Find(const TopicPartition& at) const;
  /// All durable ones, in order.
  std::vector<std::pair<TopicPartition, CommittedOffset>> All() const;
  /// All of these topics, also those whose first commit is on its way.
  std::vector<TopicPartition> Where(const std::function<bool(const std::string& topic)>& wanted) const;
  /// Those whose age, counted from the later of their commit and `empty_since_ms`, reached `retention_ms`,
  /// and that no commit is on its way for.
  std::vector<TopicPartition> Expired(int64_t now_ms, int64_t empty_since_ms, int64_t retention_ms) const;

  /// A commit is handed out to be persisted; EndCommit must follow.
  void BeginCommit(const TopicPartition& at);
  /// Its outcome: the offset, or nothing if it failed.
  void EndCommit(const TopicPartition& at, const CommittedOffset* durable);
  void Put(const TopicPartition& at, CommittedOffset offset);
  void Remove(const TopicPartition& at);

 private:
  struct Slot {
    std::optional<CommittedOffset> durable;
    uint32_t under_way = 0;
  };
  using Slots = std::map<TopicPartition, Slot>;
  Slots::iterator At(const TopicPartition& at);
  void DropIfUnused(Slots::iterator at);

  Slots slots_;  // each has a durable offset or a commit under way
  size_t bytes_ = 0;
};

}  // namespace selvage::kafka::group
