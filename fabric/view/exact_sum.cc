#include "fabric/view/exact_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <variant>

namespace selvage::view {
namespace {

constexpr size_t kDigitBits = 32;
/// Of the lowest bit of place 0, as a power of two.
constexpr int kLowestExponent = -static_cast<int>(ExactSum::kUnitPlace * kDigitBits);
constexpr uint32_t kAdditionsMax = 1u << 29;
constexpr int kMantissaBits = std::numeric_limits<double>::digits;

__extension__ using Wide = unsigned __int128;

/// The digit at a place, 0 where there is none.
uint64_t DigitAt(const ExactSum::Digits& sum, size_t place) {
  return place >= sum.first && place < sum.first + sum.digits.size() ? sum.digits[place - sum.first] : 0;
}

double NearestOf(const ExactSum::Digits& sum) {
  if (sum.digits.empty()) return 0;
  // The top three digits hold more than a mantissa; of the rest it only matters whether there is something.
  const size_t top = sum.first + sum.digits.size() - 1;
  Wide bits = 0;
  for (size_t i = 0; i < 3; ++i) bits = bits << kDigitBits | (top >= i ? DigitAt(sum, top - i) : 0);
  const bool rest = sum.digits.size() > 3;
  const int width = std::bit_width(sum.digits.back()) + static_cast<int>(2 * kDigitBits);
  const int dropped = width - kMantissaBits;
  const Wide half = Wide{1} << (dropped - 1);
  const Wide below = bits & ((half << 1) - 1);
  auto mantissa = static_cast<uint64_t>(bits >> dropped);
  if (below > half || (below == half && (rest || (mantissa & 1) != 0))) ++mantissa;
  // Exact: no sum has bits below the lowest one of a double.
  const int exponent =
      dropped + static_cast<int>(top * kDigitBits) - static_cast<int>(2 * kDigitBits) + kLowestExponent;
  const double value =
      std::min(std::ldexp(static_cast<double>(mantissa), exponent), std::numeric_limits<double>::max());
  return sum.negative ? -value : value;
}

}  // namespace

ExactSum::ExactSum(const Digits& digits) : first_(digits.first) {
  for (const uint32_t digit : digits.digits) {
    places_.push_back(digits.negative ? -int64_t{digit} : int64_t{digit});
  }
}

void ExactSum::Add(const table::JsonNumber& number) {
  if (const auto* integer = std::get_if<int64_t>(&number)) {
    const auto bits = static_cast<uint64_t>(*integer);
    AddDigits(*integer < 0 ? 0 - bits : bits, kUnitPlace * kDigitBits, *integer < 0);
    return;
  }
  const auto bits = std::bit_cast<uint64_t>(std::get<double>(number));
  constexpr int kStoredBits = kMantissaBits - 1;
  const auto exponent = static_cast<int>((bits >> kStoredBits) & 0x7FF);
  uint64_t mantissa = bits & ((uint64_t{1} << kStoredBits) - 1);
  if (exponent != 0) mantissa |= uint64_t{1} << kStoredBits;
  constexpr int kLowestOfDoubles = -1074;
  const int lowest = std::max(exponent, 1) - 1 + kLowestOfDoubles;
  AddDigits(mantissa, static_cast<size_t>(lowest - kLowestExponent), (bits >> 63) != 0);
}

void ExactSum::AddDigits(uint64_t magnitude, size_t bit, bool negative) {
  Wide rest = Wide{magnitude} << (bit % kDigitBits);
  for (size_t place = bit / kDigitBits; rest != 0; ++place, rest >>= kDigitBits) {
    const auto digit = static_cast<int64_t>(static_cast<uint32_t>(rest));
    if (digit != 0) Place(place) += negative ? -digit : digit;
  }
  CountAddition(1);
}

void ExactSum::Merge(const ExactSum& other) {
  for (size_t i = 0; i < other.places_.size(); ++i) {
    if (other.places_[i] != 0) Place(other.first_ + i) += other.places_[i];
  }
  CountAddition(uint64_t{other.additions_} + 1);
}

int64_t& ExactSum::Place(size_t place) {
  if (places_.empty()) first_ = static_cast<uint32_t>(place);
  if (place < first_) {
    places_.insert(places_.begin(), first_ - place, 0);
    first_ = static_cast<uint32_t>(place);
  }
  if (place >= first_ + places_.size()) places_.resize(place - first_ + 1);
  return places_[place - first_];
}

void ExactSum::CountAddition(uint64_t additions) {
  // Two sums that are both below the limit stay far below what a place can hold.
  if (additions_ + additions < kAdditionsMax) {
    additions_ += static_cast<uint32_t>(additions);
  } else {
    *this = ExactSum(ToDigits());
  }
}

ExactSum::Digits ExactSum::ToDigits() const {
  std::vector<uint32_t> digits;
  int64_t carry = 0;
  for (const int64_t place : places_) {
    const int64_t sum = place + carry;
    digits.push_back(static_cast<uint32_t>(sum));
    carry = sum >> kDigitBits;
  }
  for (; carry != 0 && carry != -1; carry >>= kDigitBits) digits.push_back(static_cast<uint32_t>(carry));
  const bool negative = carry < 0;
  if (negative) {
    // The digits are those of 2^n minus the sum's magnitude.
    digits.push_back(~uint32_t{0});
    bool add = true;
    for (uint32_t& digit : digits) {
      digit = ~digit + (add ? 1 : 0);
      add = add && digit == 0;
    }
  }
  const auto filled = [](uint32_t digit) { return digit != 0; };
  const auto begin = std::find_if(digits.begin(), digits.end(), filled);
  const auto end = std::find_if(digits.rbegin(), digits.rend(), filled).base();
  if (begin == digits.end()) return {};
  return {.negative = negative,
          .first = static_cast<uint8_t>(first_ + static_cast<size_t>(begin - digits.begin())),
          .digits = {begin, end}};
}

table::JsonNumber ExactSum::Value() const {
  const Digits sum = ToDigits();
  constexpr size_t kIntegerDigits = 2;
  if (sum.digits.empty()) return int64_t{0};
  if (sum.first >= kUnitPlace && sum.first + sum.digits.size() <= kUnitPlace + kIntegerDigits) {
    const uint64_t magnitude = DigitAt(sum, kUnitPlace) | DigitAt(sum, kUnitPlace + 1) << kDigitBits;
    constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
    if (magnitude <= kMax + (sum.negative ? 1 : 0)) {
      return static_cast<int64_t>(sum.negative ? 0 - magnitude : magnitude);
    }
  }
  return table::NumberOf(NearestOf(sum));
}

double ExactSum::Nearest() const {
  return NearestOf(ToDigits());
}

}  // namespace selvage::view
