#pragma once

#include <cstdint>
#include <deque>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace selvage::replication {

/// Decides how much may be under way on the link, and how large one frame may be. It allows enough to fill
/// the link, and little more, so that the queue in front of an urgent frame stays short wherever one forms
/// (send buffers, a modem). It also keeps to link.max_rate with a token bucket. Pure: time is a parameter.
///
/// It models the link as BBR does: the rate is the largest at which bytes arrived lately, the base delay the
/// smallest time lately from sending a byte to hearing that it arrived. The window is what the link itself
/// holds (rate × base delay) and some slack; it grows twofold each round until the rate stops growing. A
/// queue of our own would hide the base delay, so every 15 s the link is drained for one round to measure it.
///
/// On a slow link the frames of a window are spread over a base delay. Frames that are written at once share
/// a TLS record of up to 16 KiB, and the receiver reads none of them before it has the whole record: an
/// urgent frame would arrive as late as the bulk data behind it, and the sender would hear of arrivals in
/// bursts.
class Pacer {
 public:
  /// `max_rate` in bytes per second; 0: unlimited.
  explicit Pacer(uint64_t max_rate) : max_rate_(max_rate) {}

  void set_max_rate(uint64_t bytes_per_second) { max_rate_ = bytes_per_second; }
  /// Size of the next frame of an entry with `rest` bytes left to send; 0: wait. A frame that does not end
  /// its entry is never small, since headers would waste the link. An urgent frame may exceed the window by
  /// one frame, so that bulk data that fill the window do not hold it up.
  size_t NextFrame(size_t rest, absl::Duration now, bool urgent = false);
  /// When the spacing and the rate limit let the frame pass that NextFrame refused; infinite when the frame
  /// waits for arrivals instead.
  absl::Duration NextFrameAt(size_t rest, absl::Duration now, bool urgent = false) const;
  /// False when NextFrame refuses every frame, or every urgent one, until more has arrived.
  bool window_open(bool urgent = false) const { return in_flight() < WindowFor(urgent); }
  void Sent(size_t bytes, absl::Duration now);
  /// A frame of `bytes` without payload was sent. It takes its time on the link too.
  void SentControl(size_t bytes, absl::Duration now);
  /// When the next frame that is not urgent may follow the frames sent so far.
  absl::Duration next_at() const { return next_at_; }
  /// There was nothing more to send, or the peer had no memory for it. Until the bytes under way have
  /// arrived, the rate measured is not the link's.
  void Idle();
  /// The peer has received `total` bytes of payload since the link began. False when fewer were sent.
  bool Received(uint64_t total, absl::Duration now);

  /// Bytes that pass in about 250 ms at the measured rate, at least 1 KiB: the largest frame.
  size_t FrameBytes() const;
  uint64_t in_flight() const { return sent_ - received_; }
  size_t window() const { return window_; }
  /// The link's measured bytes per second; 0 before the first measurement.
  double rate() const;
  /// The smallest delay seen lately; infinite before the first measurement.
  absl::Duration base_delay() const { return base_delay_; }
  /// Names the first broken rule of this state, between two calls; for tests (fabric/base/invariant.h).
  absl::Status CheckInvariants() const;

 private:
  /// A frame under way, and the state of arrivals when it was sent, from which the rate is measured.
  struct Mark {
    uint64_t end;  // bytes sent, up to this frame's end
    absl::Duration sent_at;
    uint64_t arrived;                // bytes that had arrived
    absl::Duration arrived_at;       // when the last of them was heard of
    absl::Duration arrived_sent_at;  // when the last of them had been sent
    bool idle;
  };
  enum class Drain { kNo, kEmptying, kMeasuring };

  void MeasureRate(const Mark& mark, absl::Duration now);
  void MeasureDelay(absl::Duration delay, absl::Duration now);
  void EndRound(const Mark& mark);
  void NotePeak(absl::Duration now);
  size_t Window() const;
  size_t WindowFor(bool urgent) const { return window_ + (urgent ? FrameBytes() : 0); }
  absl::Duration NextAtFor(bool urgent) const;
  absl::Duration Spacing(size_t bytes) const;
  void Refill(absl::Duration now);
  double Burst() const;

  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  std::deque<Mark> marks_;
  absl::Duration arrived_at_;       // when received_ last grew
  absl::Duration arrived_sent_at_;  // when its last byte had been sent
  uint64_t idle_until_ = 1;         // until this byte has arrived, frames do not show the link's rate

  absl::Duration next_at_ = -absl::InfiniteDuration();  // of a frame that is not urgent

  size_t window_ = 8 << 10;
  size_t peak_ = 0;       // most that was under way, this interval
  size_t last_peak_ = 0;  // and the one before
  absl::Duration peak_until_;

  double rate_ = 0;       // largest of this interval
  double last_rate_ = 0;  // and of the one before
  absl::Duration rate_until_;

  bool starting_ = true;
  int flat_rounds_ = 0;  // rounds in a row in which the rate did not grow
  double grown_to_ = 0;
  uint64_t round_end_ = 0;

  absl::Duration base_delay_ = absl::InfiniteDuration();
  absl::Duration next_base_delay_ = absl::InfiniteDuration();  // smallest of this interval
  absl::Duration base_until_ = -absl::InfiniteDuration();
  Drain drain_ = Drain::kNo;
  uint64_t drained_at_ = 0;  // bytes sent when the link was drained

  uint64_t max_rate_;
  double tokens_ = 0;
  absl::Duration tokens_at_ = -absl::InfiniteDuration();
};

}  // namespace selvage::replication
