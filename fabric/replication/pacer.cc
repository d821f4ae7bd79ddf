#include "fabric/replication/pacer.h"

#include <algorithm>

#include "fabric/base/invariant.h"

namespace selvage::replication {
namespace {

constexpr size_t kFrameMin = 1 << 10;
// A frame cannot be interrupted. Should the link suddenly fall to 64 kbit/s, one of this size still arrives
// before the peer gives the link up.
constexpr size_t kFrameMax = 128 << 10;
constexpr absl::Duration kFrameTime = absl::Milliseconds(250);
// Several frames fit the window, so that arrivals come often.
constexpr size_t kFramesInWindow = 4;

constexpr size_t kFirstWindow = 8 << 10;
constexpr size_t kWindowMin = 2 << 10;
// What may queue beyond what the link itself holds. The time covers late arrivals (radio, busy machines); the
// bytes allow a frame to be sent while another one is, on the slowest links; the most bounds what is caught
// in a queue when a fast link falls.
constexpr absl::Duration kSlackTime = absl::Milliseconds(50);
constexpr double kSlackOfBase = 0.25;
constexpr double kSlackBytes = 2 << 10;
constexpr double kSlackMax = 2 << 20;

// Bytes per second before the first measurement: frames far enough apart for a record each, and soon sent.
constexpr double kFirstPace = 100e3;
// At this rate a whole TLS record takes 16 ms: frames need not be apart from one another.
constexpr double kSpacedMax = 1e6;
// What a frame costs beside its own bytes: gRPC, HTTP/2, TLS.
constexpr size_t kHeaders = 60;

// The rate has stopped growing when it grew by less than this in each of so many rounds.
constexpr double kStartGrowth = 1.25;
constexpr int kStartFlatRounds = 3;
constexpr double kStartGain = 2;

// The largest rate is forgotten after one to two of these, or so many base delays when that is longer.
constexpr absl::Duration kRateInterval = absl::Seconds(1);
constexpr int kRateRounds = 6;
constexpr absl::Duration kBaseInterval = absl::Seconds(15);
constexpr absl::Duration kPeakInterval = absl::Seconds(10);
// Arrivals that are heard of at once say little about the rate.
constexpr absl::Duration kMeasureMin = absl::Microseconds(50);

}  // namespace

double Pacer::rate() const {
  return std::max(rate_, last_rate_);
}

size_t Pacer::FrameBytes() const {
  const int64_t share = window_ / kFramesInWindow;
  auto frame = static_cast<double>(share);
  if (rate() > 0) frame = std::min(frame, rate() * absl::ToDoubleSeconds(kFrameTime));
  if (max_rate_ > 0)
    frame = std::min(frame, static_cast<double>(max_rate_) * absl::ToDoubleSeconds(kFrameTime));
  return std::clamp(static_cast<size_t>(frame), kFrameMin, kFrameMax);
}

double Pacer::Burst() const {
  return std::max<double>(kFrameMin, static_cast<double>(max_rate_) * absl::ToDoubleSeconds(kFrameTime));
}

void Pacer::Refill(absl::Duration now) {
  if (tokens_at_ == -absl::InfiniteDuration()) tokens_at_ = now;
  tokens_ += static_cast<double>(max_rate_) * absl::ToDoubleSeconds(now - tokens_at_);
  tokens_ = std::min(tokens_, Burst());
  tokens_at_ = now;
}

absl::Duration Pacer::Spacing(size_t bytes) const {
  double pace =
      base_delay_ == absl::InfiniteDuration()
          ? kFirstPace
          : static_cast<double>(window_) / absl::ToDoubleSeconds(std::max(base_delay_, kMeasureMin));
  if (pace > kSpacedMax) return absl::ZeroDuration();
  return std::min(absl::Seconds(static_cast<double>(bytes) / pace), kFrameTime);
}

absl::Duration Pacer::NextAtFor(bool urgent) const {
  return urgent ? next_at_ - kFrameTime : next_at_;
}

size_t Pacer::NextFrame(size_t rest, absl::Duration now, bool urgent) {
  if (!window_open(urgent)) return 0;
  size_t room = WindowFor(urgent) - in_flight();
  if (max_rate_ > 0) {
    Refill(now);
    room = std::min(room, static_cast<size_t>(tokens_));
  }
  if (now < NextAtFor(urgent)) return 0;
  size_t frame = FrameBytes();
  if (room >= std::min(frame, rest)) return std::min(frame, rest);
  return room >= frame / 2 ? room : 0;
}

absl::Duration Pacer::NextFrameAt(size_t rest, absl::Duration now, bool urgent) const {
  size_t wanted = std::min(rest, FrameBytes() / 2);
  if (in_flight() + wanted > WindowFor(urgent)) return absl::InfiniteDuration();
  absl::Duration at = std::max(now, NextAtFor(urgent));
  double missing = max_rate_ == 0 ? 0 : static_cast<double>(wanted) - tokens_;
  if (missing <= 0) return at;
  // A little more than what is missing, lest rounding leave it short by a fraction again and again.
  return std::max(at, now + absl::Seconds(missing / static_cast<double>(max_rate_)) + absl::Microseconds(1));
}

void Pacer::Sent(size_t bytes, absl::Duration now) {
  if (in_flight() == 0) arrived_at_ = arrived_sent_at_ = now;
  bool idle = received_ < idle_until_;
  sent_ += bytes;
  next_at_ = std::max(next_at_, now) + Spacing(bytes);
  marks_.push_back({sent_, now, received_, arrived_at_, arrived_sent_at_, idle});
  if (max_rate_ > 0) tokens_ -= static_cast<double>(bytes);
  NotePeak(now);
}

void Pacer::SentControl(size_t bytes, absl::Duration now) {
  // Many at once, as when a link begins, do not hold up the data for longer than a frame would.
  next_at_ =
      std::max(next_at_, std::min(std::max(next_at_, now) + Spacing(bytes + kHeaders), now + kFrameTime));
}

void Pacer::Idle() {
  idle_until_ = sent_ + 1;
}

bool Pacer::Received(uint64_t total, absl::Duration now) {
  if (total > sent_) return false;
  if (total <= received_) return true;
  received_ = total;
  bool whole_frame = false;
  Mark last{};
  while (!marks_.empty() && marks_.front().end <= total) {
    last = marks_.front();
    whole_frame = true;
    marks_.pop_front();
  }
  if (!whole_frame) return true;
  arrived_at_ = now;
  arrived_sent_at_ = last.sent_at;
  MeasureRate(last, now);
  if (last.end > round_end_) EndRound(last);
  MeasureDelay(now - last.sent_at, now);
  window_ = Window();
  return true;
}

void Pacer::MeasureRate(const Mark& mark, absl::Duration now) {
  // Bytes may be sent, or heard of, in a burst: the slower of the two is what the link did.
  absl::Duration took = std::max({mark.sent_at - mark.arrived_sent_at, now - mark.arrived_at, kMeasureMin});
  double rate = static_cast<double>(received_ - mark.arrived) / absl::ToDoubleSeconds(took);
  // With little to send the link may be faster than what was seen; it is not slower.
  if (mark.idle && rate < this->rate()) return;
  if (now >= rate_until_) {
    last_rate_ = rate_;
    rate_ = 0;
    absl::Duration rounds =
        base_delay_ == absl::InfiniteDuration() ? absl::ZeroDuration() : base_delay_ * kRateRounds;
    rate_until_ = now + std::max(kRateInterval, rounds);
  }
  rate_ = std::max(rate_, rate);
}

void Pacer::EndRound(const Mark& mark) {
  round_end_ = sent_;
  if (!starting_ || mark.idle) return;
  if (rate() >= grown_to_ * kStartGrowth) {
    grown_to_ = rate();
    flat_rounds_ = 0;
  } else if (++flat_rounds_ >= kStartFlatRounds) {
    starting_ = false;
  }
}

void Pacer::MeasureDelay(absl::Duration delay, absl::Duration now) {
  base_delay_ = std::min(base_delay_, delay);
  next_base_delay_ = std::min(next_base_delay_, delay);
  switch (drain_) {
    case Drain::kNo:
      if (base_until_ == -absl::InfiniteDuration()) base_until_ = now + kBaseInterval;
      if (now >= base_until_) drain_ = Drain::kEmptying;
      break;
    case Drain::kEmptying:
      if (in_flight() <= window_) {
        drain_ = Drain::kMeasuring;
        drained_at_ = sent_;
      }
      break;
    case Drain::kMeasuring:
      if (received_ <= drained_at_) break;
      // What was seen before the interval is forgotten: routes change.
      base_delay_ = next_base_delay_;
      next_base_delay_ = absl::InfiniteDuration();
      base_until_ = now + kBaseInterval;
      drain_ = Drain::kNo;
      break;
  }
}

void Pacer::NotePeak(absl::Duration now) {
  if (now >= peak_until_) {
    last_peak_ = peak_;
    peak_ = 0;
    peak_until_ = now + kPeakInterval;
  }
  peak_ = std::max<size_t>(peak_, in_flight());
}

size_t Pacer::Window() const {
  if (rate() == 0) return kFirstWindow;
  double base = absl::ToDoubleSeconds(base_delay_);
  double holds = rate() * base;
  if (drain_ != Drain::kNo) return std::max(kWindowMin, static_cast<size_t>(holds / 2));
  double slack =
      std::min(kSlackBytes + rate() * (absl::ToDoubleSeconds(kSlackTime) + base * kSlackOfBase), kSlackMax);
  auto window = static_cast<size_t>(holds * (starting_ ? kStartGain : 1) + slack);
  // What the link could do when it was last used fully may be long ago: it is approached from what is under
  // way.
  return std::clamp(window, kWindowMin, kFirstWindow + 2 * std::max(peak_, last_peak_));
}

absl::Status Pacer::CheckInvariants() const {
  return FirstBroken({
      {received_ <= sent_, "nothing arrives before it is sent"},
      {(marks_.empty() ? received_ : marks_.back().end) == sent_, "what is under way has its marks"},
      {marks_.empty() || received_ <= marks_.front().end, "what has arrived has no mark any more"},
      {window_ >= kWindowMin, "the window always lets a frame pass"},
  });
}

}  // namespace selvage::replication
