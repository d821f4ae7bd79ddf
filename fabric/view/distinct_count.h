#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace selvage::view {

/// How many different values were seen, from their hashes: exact up to kExactMax, from then on a HyperLogLog
/// sketch of 4,096 registers, whose standard error is 1.6 %. What it holds depends only on which hashes were
/// added, not on their order or on how they were divided among counts that are merged. Not thread-safe.
class DistinctCount {
 public:
  static constexpr size_t kExactMax = 256;
  static constexpr int kPrecision = 12;
  static constexpr size_t kRegisters = size_t{1} << kPrecision;
  /// Of the highest value of a register: the bits of a hash that do not choose one, and one more.
  static constexpr uint8_t kRankMax = 64 - kPrecision + 1;

  /// `hash`: of 64 bits, each as good as any other.
  void Add(uint64_t hash);
  void Merge(const DistinctCount& other);
  uint64_t Estimate() const;

  /// Ascending; empty when there are registers.
  const std::vector<uint64_t>& hashes() const { return hashes_; }
  /// kRegisters of them, each at most kRankMax; or none, and the count is exact.
  const std::vector<uint8_t>& registers() const { return registers_; }
  /// From hashes() and registers().
  DistinctCount(std::vector<uint64_t> hashes, std::vector<uint8_t> registers);
  DistinctCount() = default;

 private:
  void Raise(uint64_t hash);
  void BecomeSketch();

  std::vector<uint64_t> hashes_;
  std::vector<uint8_t> registers_;
};

}  // namespace selvage::view
