#pragma once

#include <cstddef>

#include "absl/time/time.h"

/// Whether, and how hard, entries are compressed on one link. Pure: time is a parameter.
namespace selvage::replication {

/// How entries are to be compressed now.
struct CompressionTerms {
  int level = 1;         ///< of zstd
  double link_rate = 0;  ///< the link's measured bytes per second; 0: not known
};

/// Of one flow: whether its entries are worth a try, learned from those that were tried. Where entries do not
/// shrink, more and more bytes pass between two tries, up to 64 MiB. On a link so slow that a try costs next
/// to nothing beside what it may save, each entry is tried.
class CompressionHabit {
 public:
  /// Whether to try an entry of so many bytes, which is sent now.
  bool WorthATry(size_t bytes, double link_rate);
  /// What came of the try.
  void Tried(bool shrank);

 private:
  size_t skip_ = 0;       // bytes that pass without a try after the next failure; 0: the last one shrank
  size_t skip_left_ = 0;  // of those, still to pass
};

/// Of one link: zstd's level. It rises while the sender mostly waits for the link to take more, since the
/// processor has time to spare then and fewer bytes pass sooner; it falls when the sender has work for more
/// than half of its time.
class CompressionEffort {
 public:
  int level() const;

  // What the sender does from `now` on.
  /// It has sent, and may go on: reading, compressing.
  void Working(absl::Duration now) { Enter(State::kWorking, now); }
  /// Something waits to be sent, and the link takes no more.
  void Waiting(absl::Duration now) { Enter(State::kWaiting, now); }
  /// There is nothing to send, or the peer has no memory for it: tells nothing of link or processor.
  void Idle(absl::Duration now) { Enter(State::kIdle, now); }

 private:
  enum class State { kIdle, kWorking, kWaiting };
  void Enter(State state, absl::Duration now);

  State state_ = State::kIdle;
  absl::Duration since_;
  absl::Duration worked_;  // since the level was last judged
  absl::Duration waited_;
  size_t step_ = 0;
};

}  // namespace selvage::replication
