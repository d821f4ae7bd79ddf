#include "fabric/view/aggregate.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage::view {
namespace {

constexpr uint8_t kStateFormat = 1;
/// Stands for the number of hashes where registers follow.
constexpr uint16_t kSketch = 0xFFFF;
constexpr size_t kRankBits = 6;
constexpr size_t kSketchBytes = DistinctCount::kRegisters * kRankBits / 8;

/// Seeds of the hashes, which are stored: they stay as they are.
enum class HashSeed : XXH64_hash_t { kText = 1, kInteger = 2, kDouble = 3, kBoolean = 4 };

enum class ExtremeKind : uint8_t { kNone = 0, kInteger = 1, kDouble = 2 };

uint64_t HashOfBytes(std::string_view bytes, HashSeed seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), static_cast<XXH64_hash_t>(seed));
}

uint64_t HashOfWord(uint64_t word, HashSeed seed) {
  char bytes[sizeof word];
  StoreBig<uint64_t>(bytes, word);
  return HashOfBytes({bytes, sizeof bytes}, seed);
}

void AppendSum(const ExactSum& sum, std::string& out) {
  const ExactSum::Digits digits = sum.ToDigits();
  out.push_back(digits.negative ? 1 : 0);
  out.push_back(static_cast<char>(digits.first));
  out.push_back(static_cast<char>(digits.digits.size()));
  for (const uint32_t digit : digits.digits) AppendBig<uint32_t>(out, digit);
}

void AppendExtreme(const std::optional<table::JsonNumber>& extreme, std::string& out) {
  if (!extreme) {
    out.push_back(static_cast<char>(ExtremeKind::kNone));
  } else if (const auto* integer = std::get_if<int64_t>(&*extreme)) {
    out.push_back(static_cast<char>(ExtremeKind::kInteger));
    AppendBig<int64_t>(out, *integer);
  } else {
    out.push_back(static_cast<char>(ExtremeKind::kDouble));
    AppendBig<uint64_t>(out, std::bit_cast<uint64_t>(std::get<double>(*extreme)));
  }
}

/// Registers of six bits, the first in the highest bits of the first byte.
void AppendRegisters(const std::vector<uint8_t>& registers, std::string& out) {
  for (size_t i = 0; i < registers.size(); i += 4) {
    const auto rank = [&](size_t at) { return uint32_t{registers[i + at]}; };
    const uint32_t four = rank(0) << 18 | rank(1) << 12 | rank(2) << 6 | rank(3);
    for (const int shift : {16, 8, 0}) out.push_back(static_cast<char>(four >> shift));
  }
}

std::vector<uint8_t> RegistersOf(std::string_view bytes) {
  std::vector<uint8_t> registers;
  registers.reserve(DistinctCount::kRegisters);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t four = 0;
    for (size_t at = 0; at < 3; ++at) four = four << 8 | static_cast<uint8_t>(bytes[i + at]);
    for (const int shift : {18, 12, 6, 0}) registers.push_back((four >> shift) & 0x3F);
  }
  return registers;
}

void AppendDistinct(const DistinctCount& distinct, std::string& out) {
  if (!distinct.registers().empty()) {
    AppendBig<uint16_t>(out, kSketch);
    AppendRegisters(distinct.registers(), out);
    return;
  }
  AppendBig<uint16_t>(out, static_cast<uint16_t>(distinct.hashes().size()));
  for (const uint64_t hash : distinct.hashes()) AppendBig<uint64_t>(out, hash);
}

}  // namespace

uint64_t HashOfValue(const FieldValue& value) {
  switch (value.kind) {
    case FieldKind::kText:
      return HashOfBytes(value.text, HashSeed::kText);
    case FieldKind::kBoolean:
      return HashOfWord(value.boolean ? 1 : 0, HashSeed::kBoolean);
    default:
      break;
  }
  SELVAGE_CHECK(value.kind == FieldKind::kNumber);
  // A number has one form: no double is an integer that an int64_t holds.
  if (const auto* integer = std::get_if<int64_t>(&value.number)) {
    return HashOfWord(static_cast<uint64_t>(*integer), HashSeed::kInteger);
  }
  return HashOfWord(std::bit_cast<uint64_t>(std::get<double>(value.number)), HashSeed::kDouble);
}

AggregateState::AggregateState(const v1::ViewAggregate& aggregate) {
  columns_.reserve(static_cast<size_t>(aggregate.columns_size()));
  for (const v1::ViewColumn& column : aggregate.columns()) {
    Column& state = columns_.emplace_back(Column{column.function(), uint64_t{0}});
    switch (column.function()) {
      case v1::VIEW_SUM:
      case v1::VIEW_MEAN:
        state.state = Numbers();
        break;
      case v1::VIEW_MIN:
      case v1::VIEW_MAX:
        state.state = Extreme();
        break;
      case v1::VIEW_DISTINCT:
        state.state = DistinctCount();
        break;
      default:
        SELVAGE_CHECK(column.function() == v1::VIEW_COUNT);
    }
  }
}

Fed AggregateState::Feed(size_t column, const FieldValue& value) {
  Column& fed = columns_[column];
  if (auto* count = std::get_if<uint64_t>(&fed.state)) {
    if (value.kind != FieldKind::kAbsent) ++*count;
    return Fed::kFed;
  }
  if (value.kind == FieldKind::kAbsent) return Fed::kNoField;
  if (value.kind == FieldKind::kOutOfRange) return Fed::kOutOfRange;
  auto* distinct = std::get_if<DistinctCount>(&fed.state);
  if (distinct == nullptr) return FeedNumber(fed, value);
  if (value.kind == FieldKind::kComposite) return Fed::kNotAScalar;
  distinct->Add(HashOfValue(value));
  return Fed::kFed;
}

Fed AggregateState::FeedNumber(Column& column, const FieldValue& value) {
  if (value.kind != FieldKind::kNumber) return Fed::kNotANumber;
  if (auto* numbers = std::get_if<Numbers>(&column.state)) {
    ++numbers->count;
    numbers->sum.Add(value.number);
  } else {
    Extend(column.function, value.number, std::get<Extreme>(column.state));
  }
  return Fed::kFed;
}

void AggregateState::Extend(v1::ViewFunction function, const table::JsonNumber& number, Extreme& extreme) {
  const bool least = function == v1::VIEW_MIN;
  if (!extreme ||
      (least ? std::is_lt(table::Compare(number, *extreme)) : std::is_gt(table::Compare(number, *extreme)))) {
    extreme = number;
  }
}

void AggregateState::Merge(const AggregateState& other) {
  SELVAGE_CHECK(columns_.size() == other.columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    const auto& from = other.columns_[i].state;
    if (auto* count = std::get_if<uint64_t>(&column.state)) {
      *count += std::get<uint64_t>(from);
    } else if (auto* numbers = std::get_if<Numbers>(&column.state)) {
      numbers->count += std::get<Numbers>(from).count;
      numbers->sum.Merge(std::get<Numbers>(from).sum);
    } else if (auto* extreme = std::get_if<Extreme>(&column.state)) {
      if (const auto& number = std::get<Extreme>(from)) Extend(column.function, *number, *extreme);
    } else {
      std::get<DistinctCount>(column.state).Merge(std::get<DistinctCount>(from));
    }
  }
}

std::optional<table::CanonicalJson> AggregateState::Visible(size_t column) const {
  using table::CanonicalJson;
  const Column& shown = columns_[column];
  if (const auto* count = std::get_if<uint64_t>(&shown.state)) {
    return CanonicalJson::Of(static_cast<int64_t>(*count));
  }
  if (const auto* distinct = std::get_if<DistinctCount>(&shown.state)) {
    return CanonicalJson::Of(static_cast<int64_t>(distinct->Estimate()));
  }
  if (const auto* extreme = std::get_if<Extreme>(&shown.state)) {
    return *extreme ? std::optional(CanonicalJson::Of(**extreme)) : std::nullopt;
  }
  const auto& numbers = std::get<Numbers>(shown.state);
  if (numbers.count == 0) return std::nullopt;
  if (shown.function == v1::VIEW_SUM) return CanonicalJson::Of(numbers.sum.Value());
  return CanonicalJson::Of(table::NumberOf(numbers.sum.Nearest() / static_cast<double>(numbers.count)));
}

std::string AggregateState::Encode() const {
  std::string out;
  out.push_back(static_cast<char>(kStateFormat));
  out.push_back(static_cast<char>(columns_.size()));
  for (const Column& column : columns_) {
    out.push_back(static_cast<char>(column.function));
    AppendState(column, out);
  }
  return out;
}

void AggregateState::AppendState(const Column& column, std::string& out) {
  if (const auto* count = std::get_if<uint64_t>(&column.state)) {
    AppendBig<uint64_t>(out, *count);
  } else if (const auto* numbers = std::get_if<Numbers>(&column.state)) {
    AppendBig<uint64_t>(out, numbers->count);
    AppendSum(numbers->sum, out);
  } else if (const auto* extreme = std::get_if<Extreme>(&column.state)) {
    AppendExtreme(*extreme, out);
  } else {
    AppendDistinct(std::get<DistinctCount>(column.state), out);
  }
}

/// Reads from the front. After the first thing that is wrong everything reads as 0 or empty, and ok() is
/// false.
class StateDecoder {
 public:
  explicit StateDecoder(std::string_view bytes) : rest_(bytes) {}

  absl::StatusOr<AggregateState> Decode(AggregateState state) {
    if (Big<uint8_t>() != kStateFormat) Fail("unknown format");
    if (Big<uint8_t>() != state.columns_.size()) Fail("other columns");
    for (AggregateState::Column& column : state.columns_) {
      if (!ok()) break;
      if (Big<uint8_t>() != static_cast<uint8_t>(column.function)) Fail("another function");
      ReadState(column);
    }
    if (!rest_.empty()) Fail("bytes behind the state");
    if (ok()) return state;
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_view",
                     fmt::format("the stored state of a view's group is damaged: {}", wrong_),
                     "selvagectl view rebuild makes it anew");
  }

 private:
  bool ok() const { return wrong_.empty(); }
  void Fail(std::string_view why) {
    if (ok()) wrong_ = why;
    rest_ = {};
  }
  std::string_view Take(size_t size) {
    if (size > rest_.size()) {
      Fail("cut short");
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  template <class Int>
  Int Big() {
    const std::string_view bytes = Take(sizeof(Int));
    return bytes.empty() ? Int{0} : LoadBig<Int>(bytes.data());
  }

  void ReadState(AggregateState::Column& column) {
    if (auto* count = std::get_if<uint64_t>(&column.state)) {
      *count = Big<uint64_t>();
    } else if (auto* numbers = std::get_if<AggregateState::Numbers>(&column.state)) {
      numbers->count = Big<uint64_t>();
      numbers->sum = ReadSum();
    } else if (auto* extreme = std::get_if<AggregateState::Extreme>(&column.state)) {
      *extreme = ReadExtreme();
    } else {
      std::get<DistinctCount>(column.state) = ReadDistinct();
    }
  }
  ExactSum ReadSum() {
    ExactSum::Digits sum;
    const auto negative = Big<uint8_t>();
    sum.negative = negative == 1;
    sum.first = Big<uint8_t>();
    const size_t count = Big<uint8_t>();
    if (negative > 1 || sum.first + count > ExactSum::kPlaces) Fail("a sum beyond all sums");
    for (size_t i = 0; i < count && ok(); ++i) sum.digits.push_back(Big<uint32_t>());
    const bool zero = sum.digits.empty();
    if (zero ? sum.negative || sum.first != 0 : sum.digits.front() == 0 || sum.digits.back() == 0) {
      Fail("a sum in another form");
    }
    return ok() ? ExactSum(sum) : ExactSum();
  }
  std::optional<table::JsonNumber> ReadExtreme() {
    switch (static_cast<ExtremeKind>(Big<uint8_t>())) {
      case ExtremeKind::kNone:
        return std::nullopt;
      case ExtremeKind::kInteger:
        return Big<int64_t>();
      case ExtremeKind::kDouble:
        break;
      default:
        Fail("unknown kind of number");
        return std::nullopt;
    }
    const auto value = std::bit_cast<double>(Big<uint64_t>());
    if (!std::isfinite(value) || std::holds_alternative<int64_t>(table::NumberOf(value))) {
      Fail("a double in another form");
      return std::nullopt;
    }
    return value;
  }
  DistinctCount ReadDistinct() {
    const size_t count = Big<uint16_t>();
    if (count == kSketch) {
      std::vector<uint8_t> registers = RegistersOf(Take(kSketchBytes));
      if (registers.empty()) return {};
      if (*std::max_element(registers.begin(), registers.end()) > DistinctCount::kRankMax) {
        Fail("a register beyond all hashes");
      }
      return DistinctCount({}, std::move(registers));
    }
    if (count > DistinctCount::kExactMax) Fail("too many hashes");
    std::vector<uint64_t> hashes;
    for (size_t i = 0; i < count && ok(); ++i) {
      const auto hash = Big<uint64_t>();
      if (!hashes.empty() && hashes.back() >= hash) Fail("hashes out of order");
      hashes.push_back(hash);
    }
    return DistinctCount(std::move(hashes), {});
  }

  std::string_view rest_;
  std::string_view wrong_;  ///< of a literal
};

absl::StatusOr<AggregateState> AggregateState::Decode(const v1::ViewAggregate& aggregate,
                                                      std::string_view bytes) {
  return StateDecoder(bytes).Decode(AggregateState(aggregate));
}

}  // namespace selvage::view
