#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "fabric/replication/message.h"

namespace selvage {

/// What waits to be written on one link. Credits and acknowledgements state totals, so a newer one takes the
/// place of one that still waits, and they overtake the rest, which keeps its order. Not thread-safe.
class WriteQueue {
 public:
  void Push(replication::Message message);
  /// The next one to write; nothing when none waits.
  std::optional<replication::Message> Pop();
  /// Forgets fragments of entries: nobody will use them once the link is closing.
  void DropData();
  void Clear();

  bool empty() const { return totals() == 0 && ordered_.empty(); }
  /// About what the waiting messages take in memory.
  size_t bytes() const { return ordered_bytes_ + totals() * kMessageOverhead; }

 private:
  static constexpr size_t kMessageOverhead = 256;
  static size_t Cost(const replication::Message& message);
  size_t totals() const { return acks_.size() + (credit_ ? 1 : 0); }
  std::optional<replication::Message> PopTotal();

  std::optional<replication::Message> credit_;
  std::map<uint32_t, replication::Message> acks_;  // by flow
  std::deque<replication::Message> ordered_;
  size_t ordered_bytes_ = 0;
  bool ordered_next_ = false;  // totals may come without end: they take turns with the rest
};

}  // namespace selvage
