#include "fabric/view/distinct_count.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/seeded_random.h"

namespace selvage::view {
namespace {

/// Of `count` different hashes.
DistinctCount CountOf(uint64_t seed, uint64_t count) {
  test::SeededRandom random(seed);
  DistinctCount distinct;
  for (uint64_t i = 0; i < count; ++i) distinct.Add(random.Next());
  return distinct;
}

TEST(DistinctCountTest, IsExactUpToItsBound) {
  for (uint64_t count = 0; count <= DistinctCount::kExactMax; ++count) {
    const DistinctCount distinct = CountOf(1, count);
    EXPECT_EQ(distinct.Estimate(), count);
    EXPECT_TRUE(distinct.registers().empty());
  }
  EXPECT_FALSE(CountOf(1, DistinctCount::kExactMax + 1).registers().empty());
}

TEST(DistinctCountTest, RepeatsDoNotCount) {
  for (const uint64_t count : {10u, 1000u}) {
    DistinctCount distinct = CountOf(1, count);
    const uint64_t before = distinct.Estimate();
    distinct.Merge(CountOf(1, count));
    EXPECT_EQ(distinct.Estimate(), before);
  }
}

/// The standard error of 4,096 registers is 1.04 / 64 = 1.6 %. Of 100 counts of each size the root of the
/// mean square must be near it, none may be off by more than five times as much, and their mean must show no
/// bias.
TEST(DistinctCountTest, TheErrorIsThatOfTheSketch) {
  constexpr int kCounts = 100;
  constexpr double kStandardError = 0.01625;
  for (const uint64_t size : {257u, 500u, 1000u, 3000u, 5000u, 10'000u, 20'000u, 50'000u, 200'000u}) {
    double squares = 0;
    double sum = 0;
    for (int i = 0; i < kCounts; ++i) {
      const auto estimate = static_cast<double>(CountOf(static_cast<uint64_t>(i) + 1, size).Estimate());
      const double error = estimate / static_cast<double>(size) - 1;
      EXPECT_LT(std::abs(error), 5 * kStandardError) << size;
      squares += error * error;
      sum += error;
    }
    EXPECT_LT(std::sqrt(squares / kCounts), 1.25 * kStandardError) << size;
    EXPECT_LT(std::abs(sum / kCounts), 0.35 * kStandardError)
        << size << ": three and a half sigma of the mean";
  }
}

TEST(DistinctCountTest, HoldsTheSameHoweverTheHashesAreDivided) {
  test::SeededRandom random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<uint64_t> hashes;
    for (uint64_t i = random.Spread(0, 3000); i > 0; --i) hashes.push_back(random.Next());
    DistinctCount whole;
    for (const uint64_t hash : hashes) whole.Add(hash);
    DistinctCount merged;
    DistinctCount part;
    while (!hashes.empty()) {
      const uint64_t at = random.Below(hashes.size());
      part.Add(hashes[at]);
      if (random.OneIn(3)) merged.Add(hashes[at]);  // once more
      hashes[at] = hashes.back();
      hashes.pop_back();
      if (random.OneIn(100)) {
        merged.Merge(part);
        part = {};
      }
    }
    part.Merge(merged);
    EXPECT_EQ(part.hashes(), whole.hashes());
    EXPECT_EQ(part.registers(), whole.registers());
  }
}

TEST(DistinctCountTest, AnyRegistersHaveAnEstimate) {
  const std::vector<uint8_t> zero(DistinctCount::kRegisters, 0);
  EXPECT_EQ(DistinctCount({}, zero).Estimate(), 0u);
  const std::vector<uint8_t> full(DistinctCount::kRegisters, DistinctCount::kRankMax);
  EXPECT_GT(DistinctCount({}, full).Estimate(), uint64_t{1} << 60);
}

}  // namespace
}  // namespace selvage::view
