#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "fabric/replication/flow.h"

namespace selvage::replication {

/// The credit that an entry of so many bytes takes. An empty entry takes memory too.
inline size_t CreditOf(size_t entry_bytes) {
  constexpr size_t kLeast = 64;
  return std::max(entry_bytes, kLeast);
}

/// The memory that the peer lends for entries: its receive window. An entry takes CreditOf its size from its
/// first fragment until the peer has it on disk or dropped it. One larger than the window passes alone. Pure.
///
/// Small entries could keep a large one waiting for ever. So a flow that lacks credit makes a claim: until it
/// has begun its entry no other flow begins one, except flows of a higher priority. A flow may make its claim
/// in a turn that Scheduler gave to a lower priority; higher priorities then overtake it by a quarter of the
/// window at most.
class SendCredit {
 public:
  struct Flow {
    FlowNumber number;
    uint32_t priority = 0;
  };

  /// The handshake is done, and the peer lends `window` bytes.
  void Open(uint64_t window) { window_ = limit_ = window; }
  /// The peer allows entries of `limit` bytes in total since the link began. False when that is more than it
  /// can mean: it would lend more than its window.
  bool Raise(uint64_t limit);

  /// False when the claim of another flow forbids `flow` to begin an entry of this size.
  bool MayOvertake(Flow flow, size_t entry_bytes) const;
  /// True when `flow` may begin an entry of this size now. `highest`: priority of the highest flow there is.
  bool MayBegin(Flow flow, size_t entry_bytes, uint32_t highest) const;
  /// The flow lacks credit and claims what comes free next. `by_turn`: in a turn of the lower priorities.
  void Claim(Flow flow, bool by_turn);
  /// An entry begins. True when its flow had the claim, so that the others may try again.
  bool Begin(Flow flow, size_t entry_bytes);
  void Forget(FlowNumber flow);
  /// The flow that waits for credit before all others.
  std::optional<FlowNumber> claimant() const {
    return claim_ ? std::optional(claim_->flow.number) : std::nullopt;
  }
  /// Names the first broken rule of this state, between two calls; for tests (fabric/base/invariant.h).
  /// `entry_max`: size of the largest entry that may be sent.
  absl::Status CheckInvariants(size_t entry_max) const;

 private:
  struct Held {
    Flow flow;
    bool by_turn = false;
    uint64_t overtaken = 0;  // bytes of entries that other flows began since the claim
  };
  uint64_t used() const { return begun_ + window_ - limit_; }

  uint64_t window_ = 0;
  uint64_t limit_ = 0;  // invariant: limit_ <= begun_ + window_
  uint64_t begun_ = 0;  // bytes of entries that began since the link did
  std::optional<Held> claim_;
};

}  // namespace selvage::replication
