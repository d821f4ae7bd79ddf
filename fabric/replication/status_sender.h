#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "selvage/v1/link.pb.h"

namespace selvage::replication {

/// The edge's status on its way to the core: only the newest, seldom while nothing but the time has changed,
/// and over time no more than a small share of the link. It goes in parts no larger than a frame and some
/// time apart, so that neither an urgent frame nor the data wait behind all of it. Pure.
class StatusSender {
 public:
  /// Takes the place of one that waits. One of which parts were sent is sent to its end first.
  void Offer(const v1::EdgeStatus& status) { newest_ = status; }
  /// The next part, of about `part_bytes` at most, when one is due. `rate`: bytes per second that the link is
  /// known to pass, or 0.
  std::optional<v1::Status> Take(size_t part_bytes, double rate, absl::Duration now);
  /// When a part may be due; infinite when none waits.
  absl::Duration due_at() const;

 private:
  bool Begin(double rate, absl::Duration now);
  v1::Status Cut(size_t part_bytes);

  std::optional<v1::EdgeStatus> newest_;
  std::optional<v1::EdgeStatus> sending_;
  // How many of the flows, alarms and losses of sending_ were sent.
  int flows_sent_ = 0;
  int alarms_sent_ = 0;
  int losses_sent_ = 0;
  bool begun_ = false;                                    // the first part of sending_ was sent
  std::string last_;                                      // what was sent last, without its time
  absl::Duration part_at_;                                // when the next part of sending_ is due
  absl::Duration next_at_ = -absl::InfiniteDuration();    // when the next status is
  absl::Duration repeat_at_ = -absl::InfiniteDuration();  // when an unchanged one is sent again
};

}  // namespace selvage::replication
