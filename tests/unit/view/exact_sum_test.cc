#include "fabric/view/exact_sum.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/seeded_random.h"

namespace selvage::view {
namespace {

using table::JsonNumber;
using table::NumberOf;

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();
constexpr int64_t kMinInt = std::numeric_limits<int64_t>::min();
constexpr double kMaxDouble = std::numeric_limits<double>::max();
constexpr double kLeastDouble = std::numeric_limits<double>::denorm_min();

ExactSum SumOf(const std::vector<JsonNumber>& numbers) {
  ExactSum sum;
  for (const JsonNumber& number : numbers) sum.Add(number);
  return sum;
}

/// Any finite double, each bit pattern as likely as any other; half of the time one of everyday size.
JsonNumber AnyNumber(test::SeededRandom& random) {
  if (random.OneIn(4)) return static_cast<int64_t>(random.Next());
  if (random.OneIn(2)) return NumberOf(random.Unit() * 2000 - 1000);
  while (true) {
    const auto value = std::bit_cast<double>(random.Next());
    if (std::isfinite(value)) return NumberOf(value);
  }
}

TEST(ExactSumTest, OfNothingIsZero) {
  EXPECT_EQ(ExactSum().Value(), JsonNumber(int64_t{0}));
  EXPECT_EQ(ExactSum().Nearest(), 0);
}

TEST(ExactSumTest, OfIntegersIsExactWithin64Bits) {
  EXPECT_EQ(SumOf({int64_t{1}, int64_t{2}, int64_t{-10}}).Value(), JsonNumber(int64_t{-7}));
  EXPECT_EQ(SumOf({kMaxInt}).Value(), JsonNumber(kMaxInt));
  EXPECT_EQ(SumOf({kMinInt}).Value(), JsonNumber(kMinInt));
  EXPECT_EQ(SumOf({kMaxInt, kMaxInt, kMinInt, kMinInt}).Value(), JsonNumber(int64_t{-2}));
  EXPECT_EQ(SumOf({int64_t{1} << 53, int64_t{1}}).Value(), JsonNumber((int64_t{1} << 53) + 1));
}

TEST(ExactSumTest, BeyondThatItIsTheNearestDoubleAsOfCounters) {
  for (const std::vector<JsonNumber>& numbers : {std::vector<JsonNumber>{kMaxInt, kMaxInt},
                                                 {kMinInt, int64_t{-1}},
                                                 {kMaxInt, int64_t{1}},
                                                 {kMaxInt, kMaxInt, 0.5},
                                                 {int64_t{1}, 0.5},
                                                 {0.5, 0.5},
                                                 {kMaxInt, 0.5}}) {
    EXPECT_EQ(SumOf(numbers).Value(), table::Sum(numbers));
  }
}

TEST(ExactSumTest, IsCorrectlyRounded) {
  EXPECT_EQ(SumOf({0.1, 0.2, 0.3}).Value(), JsonNumber(0.6));
  EXPECT_EQ(SumOf({1e16, 1.5, -1e16}).Value(), JsonNumber(1.5));
  EXPECT_EQ(SumOf({1e308, 1e308, -1e308}).Value(), JsonNumber(1e308)) << "no overflow in between";
  EXPECT_EQ(SumOf({kMaxDouble, kMaxDouble}).Value(), JsonNumber(kMaxDouble));
  EXPECT_EQ(SumOf({-kMaxDouble, -kMaxDouble}).Value(), JsonNumber(-kMaxDouble));
  EXPECT_EQ(SumOf({kLeastDouble, kLeastDouble}).Value(), JsonNumber(2 * kLeastDouble));
  EXPECT_EQ(SumOf({kMaxDouble, kLeastDouble, -kMaxDouble}).Value(), JsonNumber(kLeastDouble));
  // Half way between two doubles: to the even one, unless there is something left however small.
  EXPECT_EQ(SumOf({0x1p60, int64_t{128}}).Nearest(), 0x1p60);
  EXPECT_EQ(SumOf({0x1p60, int64_t{128}, kLeastDouble}).Nearest(), 0x1p60 + 256);
  EXPECT_EQ(SumOf({0x1p60, int64_t{384}}).Nearest(), 0x1p60 + 512);
  EXPECT_EQ(SumOf({0x1p60, int64_t{384}, -kLeastDouble}).Nearest(), 0x1p60 + 256);
}

TEST(ExactSumTest, WhatIsTakenAwayAgainLeavesNothing) {
  test::SeededRandom random(1);
  for (int round = 0; round < 300; ++round) {
    ExactSum sum;
    ExactSum negative;
    for (int i = 0; i < 20; ++i) {
      const JsonNumber number = AnyNumber(random);
      sum.Add(number);
      if (const auto* integer = std::get_if<int64_t>(&number)) {
        // -2^63 has no opposite among integers, but among doubles.
        negative.Add(*integer == kMinInt ? JsonNumber(0x1p63) : JsonNumber(-*integer));
      } else {
        negative.Add(-std::get<double>(number));
      }
    }
    sum.Merge(negative);
    EXPECT_EQ(sum.ToDigits(), ExactSum::Digits());
    EXPECT_EQ(sum.Value(), JsonNumber(int64_t{0}));
  }
}

TEST(ExactSumTest, IsTheSameInAnyOrderAndDivision) {
  test::SeededRandom random(2);
  for (int round = 0; round < 300; ++round) {
    std::vector<JsonNumber> numbers;
    for (uint64_t i = random.Spread(0, 200); i > 0; --i) numbers.push_back(AnyNumber(random));
    const ExactSum whole = SumOf(numbers);
    ExactSum parts[4];
    while (!numbers.empty()) {
      const uint64_t at = random.Below(numbers.size());
      parts[random.Below(4)].Add(numbers[at]);
      numbers[at] = numbers.back();
      numbers.pop_back();
    }
    ExactSum right = parts[2];
    right.Merge(ExactSum(parts[3].ToDigits()));
    parts[0].Merge(parts[1]);
    parts[0].Merge(right);
    EXPECT_EQ(parts[0].ToDigits(), whole.ToDigits());
    EXPECT_EQ(parts[0].Value(), whole.Value());
  }
}

/// Integers of 128 bits hold sums of small fixed-point numbers exactly.
TEST(ExactSumTest, IsThatOfWideIntegers) {
  __extension__ using Wide = __int128;
  test::SeededRandom random(4);
  for (int round = 0; round < 300; ++round) {
    ExactSum sum;
    Wide expected = 0;  // in units of 2^-20
    for (int i = 0; i < 100; ++i) {
      const auto units = static_cast<int64_t>(random.Next()) >> random.Between(11, 60);
      expected += units;
      sum.Add(NumberOf(std::ldexp(static_cast<double>(units), -20)));
    }
    EXPECT_EQ(sum.Nearest(), std::ldexp(static_cast<double>(expected), -20));
  }
}

TEST(ExactSumTest, CarriesAfterManyAdditions) {
  ExactSum sum = SumOf({kMaxInt});
  int64_t doublings = 0;
  // The places overflow unless they are carried now and then.
  for (; doublings < 60; ++doublings) sum.Merge(ExactSum(sum));
  EXPECT_EQ(sum.Nearest(), std::ldexp(static_cast<double>(kMaxInt), 60));
  EXPECT_EQ(ExactSum(sum.ToDigits()).ToDigits(), sum.ToDigits());
}

}  // namespace
}  // namespace selvage::view
