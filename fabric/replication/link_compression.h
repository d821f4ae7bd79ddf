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

/// Decides for one flow which entries are compressed. It learns from the entries that it tried: while they do
/// not shrink, more and more bytes pass between two tries, up to 64 MiB. On a link so slow that a try costs
/// next to nothing beside what it may save, it tries each entry.
class CompressionHabit {
 public:
  /// Whether to try to compress the entry of so many bytes that is sent now.
  bool WorthATry(size_t bytes, double link_rate);
  /// The outcome of the try.
  void Tried(bool shrank);

 private:
  size_t skip_ = 0;       // bytes that pass without a try after the next failure; 0: the last entry shrank
  size_t skip_left_ = 0;  // bytes that still pass without a try
};

/// Chooses the level of zstd for one link. The level rises while the sender mostly waits for the link: the
/// processor then has time to spare, and fewer bytes arrive sooner. It falls while the sender works for more
/// than half of the time.
class CompressionEffort {
 public:
  int level() const;

  // What the sender does from `now` on.
  /// It has sent something and may go on: it reads and compresses.
  void Working(absl::Duration now) { Enter(State::kWorking, now); }
  /// It has something to send, and the link takes no more.
  void Waiting(absl::Duration now) { Enter(State::kWaiting, now); }
  /// It has nothing to send, or the peer has no memory for it. This time says nothing of link or processor.
  void Idle(absl::Duration now) { Enter(State::kIdle, now); }

 private:
  enum class State { kIdle, kWorking, kWaiting };
  void Enter(State state, absl::Duration now);

  State state_ = State::kIdle;
  absl::Duration since_;
  absl::Duration worked_;  // time since the level was last judged in which the sender worked
  absl::Duration waited_;  // and in which it waited
  size_t step_ = 0;
};

}  // namespace selvage::replication
