#include "fabric/replication/pacer.h"

#include <algorithm>

namespace selvage::replication {
namespace {

constexpr size_t kWindowMin = 4 << 10;
constexpr size_t kWindowMax = 16 << 20;
constexpr size_t kFrameMin = 1 << 10;
constexpr size_t kFrameMax = 256 << 10;
constexpr absl::Duration kFrameTime = absl::Milliseconds(250);
constexpr absl::Duration kQueueTarget = absl::Milliseconds(120);
constexpr absl::Duration kQueueTooLong = absl::Milliseconds(250);
// The smallest delay seen is forgotten after one to two of these: routes change.
constexpr absl::Duration kBaseInterval = absl::Seconds(60);

}  // namespace

void Pacer::Refill(absl::Duration now) {
  if (tokens_at_ == -absl::InfiniteDuration()) tokens_at_ = now;
  double burst = std::max<double>(kFrameMin, static_cast<double>(max_rate_) * absl::ToDoubleSeconds(kFrameTime));
  tokens_ = std::min(burst, tokens_ + static_cast<double>(max_rate_) * absl::ToDoubleSeconds(now - tokens_at_));
  tokens_at_ = now;
}

size_t Pacer::Allowance(absl::Duration now) {
  if (in_flight() >= window_) {
    window_limited_ = true;
    return 0;
  }
  size_t allowance = window_ - in_flight();
  if (max_rate_ > 0) {
    Refill(now);
    if (tokens_ < 1) return 0;
    allowance = std::min(allowance, static_cast<size_t>(tokens_));
  }
  return allowance;
}

absl::Duration Pacer::NextAllowanceAt(absl::Duration now) const {
  if (max_rate_ == 0 || in_flight() >= window_) return absl::InfiniteDuration();
  // Wait for a frame's worth: trickling out single bytes would waste the link on frame headers.
  double wanted = std::min<double>(static_cast<double>(FrameBytes()), static_cast<double>(max_rate_) * 0.05 + 1);
  if (tokens_ >= wanted) return now;
  return now + absl::Seconds((wanted - tokens_) / static_cast<double>(max_rate_));
}

void Pacer::Sent(size_t bytes, absl::Duration now) {
  sent_ += bytes;
  marks_.push_back({sent_, now});
  if (max_rate_ > 0) tokens_ -= static_cast<double>(bytes);
}

bool Pacer::Received(uint64_t total, absl::Duration now) {
  if (total > sent_) return false;
  if (total <= received_) return true;
  uint64_t arrived = total - received_;
  received_ = total;
  absl::Duration sent_at = now;
  bool whole_frame = false;
  while (!marks_.empty() && marks_.front().total <= total) {
    sent_at = marks_.front().at;
    whole_frame = true;
    marks_.pop_front();
  }
  if (whole_frame) UpdateWindow(arrived, now - sent_at, now);
  return true;
}

void Pacer::UpdateWindow(uint64_t arrived, absl::Duration delay, absl::Duration now) {
  if (now >= base_interval_end_) {
    base_delay_ = std::min(next_base_delay_, delay);
    next_base_delay_ = delay;
    base_interval_end_ = now + kBaseInterval;
  }
  next_base_delay_ = std::min(next_base_delay_, delay);
  base_delay_ = std::min(base_delay_, delay);
  smoothed_delay_ = smoothed_delay_ == absl::ZeroDuration() ? delay : smoothed_delay_ * 0.875 + delay * 0.125;

  absl::Duration queueing = delay - base_delay_;
  if (queueing > kQueueTooLong) {
    starting_ = false;
    if (now - last_shrink_ > smoothed_delay_) {
      window_ = std::max(kWindowMin, window_ * 3 / 4);
      last_shrink_ = now;
    }
  } else if (queueing > kQueueTarget) {
    starting_ = false;
  } else if (window_limited_) {
    window_ = std::min<size_t>(kWindowMax, window_ + (starting_ ? arrived : arrived / 8 + 1));
  }
  window_limited_ = false;
}

double Pacer::rate() const {
  if (smoothed_delay_ == absl::ZeroDuration()) return 0;
  double seconds = std::max(absl::ToDoubleSeconds(smoothed_delay_), 1e-4);
  double measured = static_cast<double>(window_) / seconds;
  return max_rate_ > 0 ? std::min(measured, static_cast<double>(max_rate_)) : measured;
}

size_t Pacer::FrameBytes() const {
  double rate = this->rate();
  if (rate == 0) return max_rate_ > 0 ? std::clamp<size_t>(max_rate_ / 4, kFrameMin, 4 * kFrameMin) : 4 * kFrameMin;
  auto bytes = static_cast<size_t>(std::min(rate * absl::ToDoubleSeconds(kFrameTime), 1e9));
  return std::clamp(bytes, kFrameMin, kFrameMax);
}

}  // namespace selvage::replication
