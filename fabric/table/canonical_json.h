#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

/// JSON in one form for each value, so that equal values have equal bytes on every node and their bytes can
/// decide what no stamp decides (docs/formats.md, "Canonical JSON").
namespace selvage::table {

/// Objects and arrays inside each other, the row's own object counted.
inline constexpr int kMaxJsonDepth = 64;

/// A number as JSON documents of tables hold it. The double is finite, and is never an integer that an
/// int64_t holds: 1.0 is 1, -0.0 is 0.
using JsonNumber = std::variant<int64_t, double>;
/// The nearest double that JSON can hold; an integer becomes an int64_t.
JsonNumber NumberOf(double value);
/// Integers are added exactly, then the doubles in the order given. A sum that is not an integer of 64 bits
/// becomes the nearest double; beyond the doubles, the largest or the lowest of them.
JsonNumber Sum(const std::vector<JsonNumber>& numbers);
/// The number that `literal`, which follows JSON's grammar, stands for; nothing when neither an int64_t nor a
/// double can hold it. An integer is held exactly or not at all; a fraction becomes the nearest double.
std::optional<JsonNumber> NumberOfLiteral(std::string_view literal);
std::string CanonicalNumber(const JsonNumber& number);
/// The number that the canonical bytes of a value stand for; nothing when the value is not a number.
std::optional<JsonNumber> CanonicalNumberOf(std::string_view value);
/// By value, exactly: an integer is not rounded to be compared with a double.
std::strong_ordering Compare(const JsonNumber& a, const JsonNumber& b);

/// The canonical bytes of one value below a row: what a field holds. Compares by its bytes.
class CanonicalJson {
 public:
  /// Errors (kInvalidArgument), each with its own kind: "invalid_json", "invalid_utf8", "too_deep",
  /// "duplicate_field", "number_out_of_range".
  static absl::StatusOr<CanonicalJson> Parse(std::string_view json);
  /// From bytes that a store or a peer hands over. "not_canonical" for another form of the same value; the
  /// errors of Parse for what is no value.
  static absl::StatusOr<CanonicalJson> FromBytes(std::string_view bytes);
  static CanonicalJson Of(const JsonNumber& number) { return CanonicalJson(CanonicalNumber(number)); }

  const std::string& text() const { return text_; }
  /// Nothing when the value is not a number.
  std::optional<JsonNumber> number() const { return CanonicalNumberOf(text_); }

  auto operator<=>(const CanonicalJson&) const = default;

 private:
  friend class RowParser;
  explicit CanonicalJson(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// The fields of a row, by name; names compare by their bytes.
using Fields = std::map<std::string, CanonicalJson, std::less<>>;
/// A whole row, or an object that holds rows and so may be deeper. Errors as of CanonicalJson::Parse, and
/// "not_an_object".
absl::StatusOr<Fields> ParseFields(std::string_view json, int depth_max = kMaxJsonDepth);

/// `text` as a canonical JSON string, with its quotes. It must be valid UTF-8.
void AppendJsonString(std::string& out, std::string_view text);
bool IsValidUtf8(std::string_view text);
/// The first `max` bytes of text that is valid UTF-8, less what would be half a character.
std::string_view CutUtf8(std::string_view text, size_t max);

}  // namespace selvage::table
