#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "fabric/table/canonical_json.h"

namespace selvage::view {

/// A sum of numbers without any rounding, so that it does not depend on the order in which they came, nor on
/// how they were divided among partial sums. Few numbers of everyday size take 40 bytes; the widest sum takes
/// about 600. Not thread-safe.
///
/// It is a fixed-point number with a digit of 32 bits for each 2^32 of the range of doubles; a digit may grow
/// beyond 32 bits before it is carried.
class ExactSum {
 public:
  void Add(const table::JsonNumber& number);
  void Merge(const ExactSum& other);

  /// The sum, when it is an integer of 64 bits; else the nearest double, at most the largest of them.
  table::JsonNumber Value() const;
  /// The nearest double, at most the largest of them.
  double Nearest() const;

  /// The one form of each sum: sign and digits, the lowest first, from the place `first` on. Neither the
  /// first nor the last digit is 0; zero has none.
  struct Digits {
    bool negative = false;
    uint8_t first = 0;
    std::vector<uint32_t> digits;
    bool operator==(const Digits&) const = default;
  };
  Digits ToDigits() const;
  /// Digits of ToDigits; places beyond kPlaces are not allowed.
  explicit ExactSum(const Digits& digits);
  ExactSum() = default;

  /// Room for 2^64 of the largest double.
  static constexpr size_t kPlaces = 68;
  /// Where 2^0 is: the lowest bit of this digit.
  static constexpr size_t kUnitPlace = 34;

 private:
  void AddDigits(uint64_t magnitude, size_t bit, bool negative);
  int64_t& Place(size_t place);
  void CountAddition(uint64_t additions);

  absl::InlinedVector<int64_t, 4> places_;
  uint32_t first_ = 0;  ///< place of places_[0]
  /// Each place is below (additions_ + 1) * 2^32.
  uint32_t additions_ = 0;
};

}  // namespace selvage::view
