#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fabric/base/random.h"

namespace selvage::test {

/// Reproducible randomness (SplitMix64).
class SeededRandom : public Random {
 public:
  /// Mixed once, so that the draws of neighbouring seeds have nothing in common.
  explicit SeededRandom(uint64_t seed) : state_(seed) { state_ = Step(); }
  void Fill(void* out, size_t size) override {
    auto* at = static_cast<char*>(out);
    uint64_t word = 0;
    for (size_t i = 0; i < size; ++i) {
      if (i % 8 == 0) word = Step();
      at[i] = static_cast<char>(word >> (i % 8 * 8));
    }
  }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  bool Chance(double probability) { return Unit() < probability; }
  /// Uniform in [low, high].
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  /// In [low, high], each order of magnitude as likely as any other.
  uint64_t Spread(uint64_t low, uint64_t high) {
    uint64_t top = low;
    while (top < high && !OneIn(4)) top = std::min(high, top * 4 + 1);
    return Between(low, top);
  }
  std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    Fill(bytes.data(), size);
    return bytes;
  }
  template <class T>
  T& Pick(std::vector<T>& from) {
    return from[Below(from.size())];
  }

 private:
  uint64_t Step() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

}  // namespace selvage::test
