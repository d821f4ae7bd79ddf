#include "fabric/view/distinct_count.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace selvage::view {
namespace {

// The estimator is that of O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017),
// algorithm 6: it needs no table of corrections and has no range in which it is biased.

/// For the registers that nothing has reached; `x` is their share.
double Sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double y = 1;
  double z = x;
  for (double before = -1; z != before;) {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  }
  return z;
}

/// For the registers that cannot rise any more; 1 - `x` is their share.
double Tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1;
  double z = 1 - x;
  for (double before = -1; z != before;) {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  }
  return z / 3;
}

}  // namespace

DistinctCount::DistinctCount(std::vector<uint64_t> hashes, std::vector<uint8_t> registers)
    : hashes_(std::move(hashes)), registers_(std::move(registers)) {}

void DistinctCount::Add(uint64_t hash) {
  if (!registers_.empty()) {
    Raise(hash);
    return;
  }
  const auto at = std::lower_bound(hashes_.begin(), hashes_.end(), hash);
  if (at != hashes_.end() && *at == hash) return;
  hashes_.insert(at, hash);
  if (hashes_.size() > kExactMax) BecomeSketch();
}

void DistinctCount::Merge(const DistinctCount& other) {
  if (other.registers_.empty()) {
    for (const uint64_t hash : other.hashes_) Add(hash);
    return;
  }
  if (registers_.empty()) BecomeSketch();
  for (size_t i = 0; i < kRegisters; ++i) registers_[i] = std::max(registers_[i], other.registers_[i]);
}

void DistinctCount::Raise(uint64_t hash) {
  uint8_t& highest = registers_[hash >> (64 - kPrecision)];
  const uint64_t rest = hash << kPrecision;
  const int rank = rest == 0 ? kRankMax : std::countl_zero(rest) + 1;
  highest = std::max(highest, static_cast<uint8_t>(rank));
}

void DistinctCount::BecomeSketch() {
  registers_.assign(kRegisters, 0);
  for (const uint64_t hash : hashes_) Raise(hash);
  hashes_ = {};
}

uint64_t DistinctCount::Estimate() const {
  if (registers_.empty()) return hashes_.size();
  std::array<double, kRankMax + 1> counts{};
  for (const uint8_t rank : registers_) ++counts[rank];
  constexpr auto kAll = static_cast<double>(kRegisters);
  double z = kAll * Tau(1 - counts[kRankMax] / kAll);
  for (size_t rank = kRankMax - 1; rank >= 1; --rank) z = 0.5 * (z + counts[rank]);
  z += kAll * Sigma(counts[0] / kAll);
  // Beyond all hashes there are is only what nobody counted.
  constexpr double kMost = 0x1p62;
  return static_cast<uint64_t>(std::llround(std::min(kAll * kAll / (2 * std::numbers::ln2 * z), kMost)));
}

}  // namespace selvage::view
