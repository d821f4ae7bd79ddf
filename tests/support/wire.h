#pragma once

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "fabric/replication/message.h"

namespace selvage::test {

/// One direction of a connection in virtual time: in order and without loss, as TCP, with a delay and a rate
/// that has an unbounded queue in front of it.
class Wire {
 public:
  static constexpr double kUnlimited = std::numeric_limits<double>::infinity();
  /// What a frame costs beside its protobuf bytes: gRPC, HTTP/2, TLS and TCP headers.
  static constexpr size_t kOverhead = 80;
  /// Frames that are sent at one instant share a TLS record up to this size, and the receiver reads none of
  /// them before it has the whole record.
  static constexpr size_t kRecordBytes = 16 << 10;

  void Shape(absl::Duration now, double bytes_per_second, absl::Duration delay) {
    Advance(now);
    rate_ = bytes_per_second;
    delay_ = delay;
  }
  void Send(replication::Message message, absl::Duration now) {
    Advance(now);
    size_t size = message.frame.ByteSizeLong() + message.payload.size() + kOverhead;
    bool joins = !queue_.empty() && queue_.back().sent_at == now && queue_.back().size + size <= kRecordBytes;
    if (!joins) queue_.push_back({.sent_at = now});
    Record& record = queue_.back();
    record.messages.push_back(std::move(message));
    record.size += size;
    queued_ += size;
    record.left += static_cast<double>(size);
  }
  /// Of what is to arrive, the time of the next event; infinite when there is none.
  absl::Duration NextAt() const {
    absl::Duration at = absl::InfiniteDuration();
    if (!flying_.empty()) at = flying_.front().second;
    if (!queue_.empty()) at = std::min(at, advanced_ + Takes(queue_.front().left));
    return at;
  }
  std::optional<replication::Message> Arrived(absl::Duration now) {
    Advance(now);
    if (flying_.empty() || flying_.front().second > now) return std::nullopt;
    replication::Message message = std::move(flying_.front().first);
    flying_.pop_front();
    return message;
  }
  /// Bytes that have not left the sender.
  size_t queued() const { return queued_; }
  /// Loses what has not left the sender.
  void ClearQueue() {
    queue_.clear();
    queued_ = 0;
  }
  void Clear() {
    ClearQueue();
    flying_.clear();
  }

 private:
  struct Record {
    absl::Duration sent_at;
    std::vector<replication::Message> messages{};
    size_t size = 0;
    double left = 0;  // bytes that the link has still to take
  };
  absl::Duration Takes(double bytes) const {
    // Rounded up, so that a frame has left when its time has come.
    return rate_ == kUnlimited ? absl::ZeroDuration() : absl::Seconds(bytes / rate_) + absl::Nanoseconds(1);
  }
  void Advance(absl::Duration now) {
    while (!queue_.empty()) {
      Record& head = queue_.front();
      absl::Duration left_at = advanced_ + Takes(head.left);
      if (left_at > now) {
        head.left = std::max(0.0, head.left - rate_ * absl::ToDoubleSeconds(now - advanced_));
        break;
      }
      advanced_ = left_at;
      absl::Duration arrives = left_at + delay_;
      if (!flying_.empty()) arrives = std::max(arrives, flying_.back().second);
      for (replication::Message& message : head.messages) flying_.emplace_back(std::move(message), arrives);
      queued_ -= head.size;
      queue_.pop_front();
    }
    advanced_ = std::max(advanced_, now);
  }

  double rate_ = kUnlimited;
  absl::Duration delay_;
  absl::Duration advanced_;  // the queue's state is of this time
  size_t queued_ = 0;
  std::deque<Record> queue_;
  std::deque<std::pair<replication::Message, absl::Duration>> flying_;
};

}  // namespace selvage::test
