#include "fabric/replication/send_credit.h"

#include "fabric/base/canary.h"
#include "fabric/base/invariant.h"

namespace selvage::replication {

bool SendCredit::Raise(uint64_t limit) {
  if (limit <= limit_) return true;
  if (limit - window_ > begun_) return false;
  limit_ = limit;
  return true;
}

bool SendCredit::MayOvertake(Flow flow, size_t entry_bytes) const {
  if (!claim_ || claim_->flow.number == flow.number) return true;
  if (flow.priority <= claim_->flow.priority) return false;
  return !claim_->by_turn || claim_->overtaken + entry_bytes <= window_ / 4;
}

bool SendCredit::MayBegin(Flow flow, size_t entry_bytes, uint32_t highest) const {
  if (Planted(Canary::kIgnoreCredit)) return true;
  if (!MayOvertake(flow, entry_bytes)) return false;
  if (used() == 0) return true;
  // Lower priorities leave a quarter free, so that a window full of bulk data does not hold up an alarm.
  uint64_t usable = flow.priority < highest ? window_ - window_ / 4 : window_;
  return used() + entry_bytes <= usable;
}

void SendCredit::Claim(Flow flow, bool by_turn) {
  if (claim_ && claim_->flow.number == flow.number) {
    claim_->by_turn |= by_turn;
  } else if (!claim_ || (!claim_->by_turn && flow.priority > claim_->flow.priority)) {
    claim_ = Held{flow, by_turn};
  }
}

bool SendCredit::Begin(Flow flow, size_t entry_bytes) {
  begun_ += entry_bytes;
  if (!claim_) return false;
  if (claim_->flow.number == flow.number) {
    claim_.reset();
    return true;
  }
  claim_->overtaken += entry_bytes;
  return false;
}

void SendCredit::Forget(FlowNumber flow) {
  if (Planted(Canary::kKeepClaim)) return;
  if (claim_ && claim_->flow.number == flow) claim_.reset();
}

absl::Status SendCredit::CheckInvariants(size_t entry_max) const {
  return FirstBroken({
      {window_ <= limit_, "the peer never takes back what it lent in the handshake"},
      {limit_ <= begun_ + window_, "the peer gives back no more than it was sent"},
      {used() <= std::max<uint64_t>(window_, CreditOf(entry_max)),
       "the peer holds no more than its window, or one entry alone"},
  });
}

}  // namespace selvage::replication
