#pragma once

#include <cstddef>
#include <cstdint>

namespace selvage {

/// Where randomness enters. Pure code draws only from a port it was given, so that a seed replays it.
/// Implementations are safe to call from several threads.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(void* out, size_t size) = 0;

  uint64_t Next() {
    uint64_t value;
    Fill(&value, sizeof value);
    return value;
  }
  /// Uniform in [0, bound); 0 when bound is 0.
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : Next() % bound; }
  /// Uniform in [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
};

/// The operating system's entropy (getrandom).
Random& SystemRandom();

}  // namespace selvage
