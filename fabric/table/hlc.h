#pragma once

#include <compare>
#include <cstdint>
#include <optional>

namespace selvage::table {

/// A time of a hybrid logical clock (Kulkarni, Demirbas and others, "Logical Physical Clocks", 2014): the
/// milliseconds of a wall clock since 1970 in the upper 48 bits, a counter in the lower 16. Times compare as
/// their packed integers do. 0 is before all of them.
class Hlc {
 public:
  static constexpr int kCounterBits = 16;
  static constexpr int64_t kMaxMs = (int64_t{1} << 48) - 1;

  constexpr Hlc() = default;
  constexpr explicit Hlc(uint64_t packed) : packed_(packed) {}
  /// The first time of a millisecond. What lies outside of [0, kMaxMs] becomes the nearer of the two.
  static constexpr Hlc AtMs(int64_t ms) {
    if (ms < 0) ms = 0;
    if (ms > kMaxMs) ms = kMaxMs;
    return Hlc(static_cast<uint64_t>(ms) << kCounterBits);
  }

  constexpr uint64_t packed() const { return packed_; }
  constexpr int64_t ms() const { return static_cast<int64_t>(packed_ >> kCounterBits); }
  constexpr uint32_t counter() const { return static_cast<uint32_t>(packed_ & 0xFFFF); }
  constexpr auto operator<=>(const Hlc&) const = default;

 private:
  uint64_t packed_ = 0;
};

/// What the clocks of two nodes may differ: stamps from further ahead wait for their time, and an expired row
/// is kept for so long. All nodes have the same.
inline constexpr int64_t kClockMarginMs = 300'000;

/// True when `time` lies more than `max_ahead_ms` after the wall clock of whoever receives it. Only what
/// comes from a peer is judged, and only against the future: a machine that slept, or whose own clock was set
/// back, keeps writing.
bool IsTooFarAhead(Hlc time, int64_t now_ms, int64_t max_ahead_ms);

/// The hybrid logical clock of one store. It is told the wall time and never reads it. Not thread-safe.
///
/// What it hands out is above all that it handed out or saw, in this process and in earlier ones: a floor
/// lies in the store, and no time above it was ever used. The floor is raised by more than was needed, so
/// that one write of it covers many ticks:
///
///   floor 5,000 ms    Tick at 5,001 → FloorDue() = 8,001 (with floor_ahead_ms = 3,000): persisted
///                     Ticks up to 8,001 ms → FloorDue() is empty
///   restart           begins at 8,001 ms, also when the wall clock says 5,002
class HlcClock {
 public:
  struct Limits {
    /// What a peer's time may be ahead of the wall clock.
    int64_t max_ahead_ms;
    /// How far the floor is raised above what is used. Less than `max_ahead_ms`: a restart begins that far
    /// ahead, and peers must not mind.
    int64_t floor_ahead_ms;
  };

  /// `floor` as it was persisted last; 0 for a new store.
  HlcClock(Hlc floor, Limits limits);

  /// The time of one operation: the wall time, or the first time after all that were seen when that is
  /// later.
  Hlc Tick(int64_t now_ms);

  /// A peer's time. False when it is too far ahead to be taken (quarantine): the clock does not move then.
  bool Observe(Hlc time, int64_t now_ms);

  /// A time of this store's own, however far ahead: Tick goes on after it.
  void Follow(Hlc own);
  /// The newest time handed out or seen.
  Hlc last() const { return last_; }
  /// Goes on at `to`, before times that were handed out: they are taken back (restamp.h). The floor is due
  /// again.
  void SetBack(Hlc to);

  /// The floor that has to be persisted, before or in one atomic write with whatever uses a time that was
  /// handed out or seen. Nothing when the floor that is persisted covers them all.
  std::optional<Hlc> FloorDue() const;
  /// `floor` came from FloorDue, and is on the disk now or in the batch that uses the times.
  void FloorPersisted(Hlc floor);
  /// As it is persisted.
  Hlc floor() const { return floor_; }

 private:
  Limits limits_;
  Hlc last_;   ///< the newest time handed out or seen
  Hlc floor_;  ///< persisted
};

}  // namespace selvage::table
