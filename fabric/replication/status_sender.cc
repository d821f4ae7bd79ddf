#include "fabric/replication/status_sender.h"

#include <algorithm>

namespace selvage::replication {
namespace {

/// Of what the link is known to pass. Before anything is known, and where only little was ever sent, that is
/// taken to be the slowest link for which this is made.
constexpr double kShare = 0.05;
constexpr double kShareOfParts = 0.25;  // from one part to the next
constexpr double kSlowestLink = 8000;
/// What the core has stored of an edge says when that was.
constexpr absl::Duration kRepeatUnchanged = absl::Minutes(10);
/// Tag and length of an element.
constexpr size_t kElementHeader = 4;

absl::Duration TimeOf(size_t bytes, double rate, double share) {
  return absl::Seconds(static_cast<double>(bytes) / (share * std::max(rate, kSlowestLink)));
}

std::string WithoutTime(v1::EdgeStatus status) {
  status.clear_time_ms();
  return status.SerializeAsString();
}

/// Copies elements from `*next` on while they fit in the `room`; at least one if `any`. True when all are
/// copied.
template <class Elements>
bool Fill(const Elements& from, int* next, Elements* to, size_t* room, bool* any) {
  for (; *next < from.size(); ++*next) {
    const size_t size = from[*next].ByteSizeLong() + kElementHeader;
    if (size > *room && !*any) return false;
    *room -= std::min(*room, size);
    *any = false;
    *to->Add() = from[*next];
  }
  return true;
}

}  // namespace

absl::Duration StatusSender::due_at() const {
  if (sending_) return part_at_;
  return newest_ ? next_at_ : absl::InfiniteDuration();
}

std::optional<v1::Status> StatusSender::Take(size_t part_bytes, double rate, absl::Duration now) {
  if (now < due_at()) return std::nullopt;
  if (!sending_ && !Begin(rate, now)) return std::nullopt;
  v1::Status part = Cut(part_bytes);
  part_at_ = now + TimeOf(part.ByteSizeLong(), rate, kShareOfParts);
  return part;
}

/// False when nothing has changed.
bool StatusSender::Begin(double rate, absl::Duration now) {
  std::string content = WithoutTime(*newest_);
  if (content == last_ && now < repeat_at_) {
    newest_.reset();
    return false;
  }
  last_ = std::move(content);
  repeat_at_ = now + kRepeatUnchanged;
  next_at_ = now + TimeOf(last_.size(), rate, kShare);
  sending_.swap(newest_);
  newest_.reset();
  flows_sent_ = alarms_sent_ = losses_sent_ = 0;
  begun_ = false;
  return true;
}

v1::Status StatusSender::Cut(size_t part_bytes) {
  v1::Status part;
  v1::EdgeStatus& to = *part.mutable_status();
  if (!begun_) {
    to = *sending_;
    to.clear_flows();
    to.clear_alarms();
    to.clear_losses();
  }
  size_t room = part_bytes - std::min(part_bytes, to.ByteSizeLong());
  bool any = begun_;  // the first part has something to say without them
  begun_ = true;
  const bool all = Fill(sending_->flows(), &flows_sent_, to.mutable_flows(), &room, &any) &&
                   Fill(sending_->alarms(), &alarms_sent_, to.mutable_alarms(), &room, &any) &&
                   Fill(sending_->losses(), &losses_sent_, to.mutable_losses(), &room, &any);
  part.set_more(!all);
  if (all) sending_.reset();
  return part;
}

}  // namespace selvage::replication
