#include "fabric/table/index_value.h"

#include <bit>
#include <cstdint>

#include "fabric/base/endian.h"
#include "fabric/table/canonical_json.h"
#include "fabric/table/canonical_reader.h"

namespace selvage::table {
namespace {

constexpr size_t kNumberSize = 1 + sizeof(uint64_t) + sizeof(uint16_t);
/// Within a string a zero byte is followed by 0xFF; one that ends it by 0x01.
constexpr char kZeroInText = '\xff';
constexpr char kTextEnd = '\x01';

std::string Tagged(ValueTag tag) {
  return {static_cast<char>(tag)};
}

/// As unsigned integers they have the order of the doubles.
uint64_t OrderedBits(double value) {
  constexpr uint64_t kSign = uint64_t{1} << 63;
  const auto bits = std::bit_cast<uint64_t>(value);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

/// The nearest double, then how far the number is from it: 512 at most, for an integer beyond 2^53.
std::string NumberValue(const JsonNumber& number) {
  __extension__ using Wide = __int128;
  constexpr int kZero = 0x8000;
  double nearest = 0;
  int away = 0;
  if (const auto* integer = std::get_if<int64_t>(&number)) {
    nearest = static_cast<double>(*integer);
    away = static_cast<int>(static_cast<Wide>(*integer) - static_cast<Wide>(nearest));
  } else {
    nearest = std::get<double>(number);
  }
  std::string value = Tagged(ValueTag::kNumber);
  AppendBig<uint64_t>(value, OrderedBits(nearest));
  AppendBig<uint16_t>(value, static_cast<uint16_t>(kZero + away));
  return value;
}

std::string TextValue(std::string_view text) {
  std::string value = Tagged(ValueTag::kText);
  for (const char c : text.substr(0, kIndexedTextMax)) {
    value.push_back(c);
    if (c == '\0') value.push_back(kZeroInText);
  }
  value.push_back('\0');
  value.push_back(kTextEnd);
  return value;
}

/// What the steps from `depth` on lead to from a value.
std::string ValueFrom(std::string_view value, const FieldPath& path, size_t depth) {
  for (; depth < path.steps.size(); ++depth) {
    const JsonType type = TypeOf(value);
    if (type == JsonType::kArray) return Tagged(ValueTag::kOther);
    if (type != JsonType::kObject) return Tagged(ValueTag::kNothing);
    CanonicalReader reader(value);
    bool found = false;
    for (CanonicalReader::Part part; !found && reader.Next(part);) {
      found = part.name == path.steps[depth].canonical;
      if (found) value = part.value;
    }
    if (!found) return Tagged(ValueTag::kNothing);
  }
  return IndexValue(value);
}

std::string ValueOfRow(const Row& row, const FieldPath& path) {
  const auto field = row.fields.find(path.steps.front().name);
  const auto value = field == row.fields.end() ? std::nullopt : ValueOf(field->second);
  return value ? ValueFrom(value->text(), path, 1) : Tagged(ValueTag::kNothing);
}

}  // namespace

std::string IndexValue(std::string_view canonical) {
  switch (TypeOf(canonical)) {
    case JsonType::kNull:
      return Tagged(ValueTag::kNothing);
    case JsonType::kBoolean:
      return Tagged(canonical == "true" ? ValueTag::kTrue : ValueTag::kFalse);
    case JsonType::kNumber: {
      const auto number = CanonicalNumberOf(canonical);
      return number ? NumberValue(*number) : Tagged(ValueTag::kNothing);
    }
    case JsonType::kString:
      return TextValue(TextOf(canonical));
    case JsonType::kArray:
    case JsonType::kObject:
      break;
  }
  return Tagged(ValueTag::kOther);
}

std::string IndexValueAt(std::string_view row_json, const FieldPath& path) {
  return ValueFrom(row_json, path, 0);
}

std::vector<std::string> IndexValuesOf(const Row& row, const FieldPath& path) {
  std::vector<std::string> values;
  const auto add = [&](const Row& seen) {
    if (IsThere(seen, INT64_MIN)) values.push_back(ValueOfRow(seen, path));
  };
  if (!HasExpired(row, INT64_MIN)) add(row);
  if (row.expiry && row.expiry->at_ms) {
    add(WithoutExpired(row));
    if (values.size() == 2 && values[0] == values[1]) values.pop_back();
    if (values.size() == 2 && values[1] < values[0]) values[0].swap(values[1]);
  }
  return values;
}

std::optional<size_t> IndexValueSize(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  switch (static_cast<ValueTag>(bytes[0])) {
    case ValueTag::kNothing:
    case ValueTag::kFalse:
    case ValueTag::kTrue:
    case ValueTag::kOther:
      return 1;
    case ValueTag::kNumber:
      return bytes.size() >= kNumberSize ? std::optional(kNumberSize) : std::nullopt;
    case ValueTag::kText:
      for (size_t at = 1; at + 1 < bytes.size(); ++at) {
        if (bytes[at] != '\0') continue;
        if (bytes[at + 1] == kTextEnd) return at + 2;
        ++at;
      }
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace selvage::table
