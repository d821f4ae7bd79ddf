#include "fabric/table/canonical_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/base/utf8.h"

namespace selvage::table {
namespace {

namespace json = boost::json;

absl::Status BadJson(std::string_view kind, std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, kind, message);
}

std::strong_ordering CompareToDouble(int64_t integer, double value) {
  if (value >= 0x1p63) return std::strong_ordering::less;
  if (value < -0x1p63) return std::strong_ordering::greater;
  const double whole = std::trunc(value);
  const auto order = integer <=> static_cast<int64_t>(whole);
  if (std::is_neq(order)) return order;
  return value > whole ? std::strong_ordering::less : value < whole ? std::strong_ordering::greater : order;
}

/// A character as strings write it that cannot hold it as it is.
void AppendEscape(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\b':
      out += "\\b";
      break;
    case '\f':
      out += "\\f";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
  }
}

/// Bytes at the front of `text` that are ASCII, eight at a time.
size_t SizeOfAsciiFront(std::string_view text) {
  constexpr uint64_t kNotAscii = 0x8080'8080'8080'8080;
  size_t at = 0;
  for (uint64_t word = 0; text.size() - at >= sizeof word; at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    if ((word & kNotAscii) != 0) break;
  }
  return at;
}

/// Receives what Boost.JSON's parser finds and writes the canonical form of it into one string.
class CanonicalWriter {
 public:
  // What basic_parser asks of its handler. Sizes are bounded by the caller; these bounds never apply.
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  /// A member of an object: its name, and where its value lies in the output.
  struct Member {
    std::string name;
    size_t value_from = 0;
    size_t value_to = 0;
  };

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code&) {
    BeginValue();
    levels_.push_back({.object = true, .from = out_.size(), .members = {}});
    return true;
  }
  bool on_object_end(std::size_t, json::error_code& ec) {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    if (!CloseObject(level)) return Refuse(ec, "duplicate_field", "an object names a field twice");
    EndValue();
    return true;
  }
  bool on_array_begin(json::error_code&) {
    BeginValue();
    levels_.push_back({.object = false, .from = out_.size(), .members = {}});
    out_.push_back('[');
    return true;
  }
  bool on_array_end(std::size_t, json::error_code&) {
    levels_.pop_back();
    out_.push_back(']');
    EndValue();
    return true;
  }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) { return Collect(part); }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    Collect(part);
    levels_.back().members.push_back({.name = std::move(part_)});
    part_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) { return Collect(part); }
  bool on_string(json::string_view part, std::size_t, json::error_code&) {
    Collect(part);
    BeginValue();
    AppendJsonString(out_, part_);
    part_.clear();
    EndValue();
    return true;
  }

  bool on_number_part(json::string_view part, json::error_code&) { return Collect(part); }
  bool on_int64(int64_t, json::string_view part, json::error_code& ec) { return Number(part, ec); }
  bool on_uint64(uint64_t, json::string_view part, json::error_code& ec) { return Number(part, ec); }
  // Boost.JSON's own double is not always the nearest one, so the digits are read again.
  bool on_double(double, json::string_view part, json::error_code& ec) { return Number(part, ec); }

  bool on_bool(bool value, json::error_code&) { return Literal(value ? "true" : "false"); }
  bool on_null(json::error_code&) { return Literal("null"); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  /// OK unless the writer itself refused something.
  const absl::Status& refusal() const { return refusal_; }
  std::string TakeText() { return std::move(out_); }
  const std::string& text() const { return out_; }
  /// The members of the outermost object, in order, once the text is complete; nothing if it is no object.
  const std::optional<std::vector<Member>>& fields() const { return fields_; }

 private:
  struct Level {
    bool object = false;
    size_t from = 0;  ///< where it begins in the output
    std::vector<Member> members;
  };

  bool Refuse(json::error_code& ec, std::string_view kind, std::string_view message) {
    refusal_ = BadJson(kind, message);
    ec = json::error::syntax;
    return false;
  }
  bool Collect(json::string_view part) {
    part_.append(part.data(), part.size());
    return true;
  }
  bool Number(json::string_view part, json::error_code& ec) {
    Collect(part);
    const auto number = NumberOfLiteral(part_);
    if (!number) {
      return Refuse(ec, "number_out_of_range",
                    fmt::format("neither a double nor an integer of 64 bits holds the number {:.60}", part_));
    }
    part_.clear();
    return Literal(CanonicalNumber(*number));
  }
  bool Literal(std::string_view text) {
    BeginValue();
    out_.append(text);
    EndValue();
    return true;
  }

  void BeginValue() {
    if (levels_.empty()) return;
    Level& level = levels_.back();
    if (level.object) {
      level.members.back().value_from = out_.size();
    } else if (out_.size() > level.from + 1) {
      out_.push_back(',');
    }
  }
  void EndValue() {
    if (!levels_.empty() && levels_.back().object) levels_.back().members.back().value_to = out_.size();
  }

  /// The values of the members lie one behind the other from `level.from`; replaces them by the object.
  bool CloseObject(Level& level) {
    auto& members = level.members;
    std::sort(members.begin(), members.end(),
              [](const Member& a, const Member& b) { return a.name < b.name; });
    const auto twice = std::adjacent_find(members.begin(), members.end(),
                                          [](const Member& a, const Member& b) { return a.name == b.name; });
    if (twice != members.end()) return false;
    std::string object = "{";
    for (Member& member : members) {
      if (object.size() > 1) object.push_back(',');
      AppendJsonString(object, member.name);
      object.push_back(':');
      const size_t at = level.from + object.size();
      object.append(out_, member.value_from, member.value_to - member.value_from);
      member = {std::move(member.name), at, level.from + object.size()};
    }
    object.push_back('}');
    out_.replace(level.from, std::string::npos, object);
    if (levels_.empty()) fields_ = std::move(members);
    return true;
  }

  std::string out_;
  std::string part_;  ///< a name, string or number of which only a part was seen
  std::vector<Level> levels_;
  std::optional<std::vector<Member>> fields_;
  absl::Status refusal_;
};

/// Runs `json_text` through a writer that takes at most `max_depth` levels.
absl::StatusOr<CanonicalWriter> Canonicalise(std::string_view json_text, int max_depth) {
  json::parse_options options;
  options.max_depth = static_cast<size_t>(max_depth);
  json::basic_parser<CanonicalWriter> parser(options);
  json::error_code ec;
  const size_t read = parser.write_some(false, json_text.data(), json_text.size(), ec);
  if (!parser.handler().refusal().ok()) return parser.handler().refusal();
  if (!IsValidUtf8(json_text)) return BadJson("invalid_utf8", "the text is not valid UTF-8");
  if (ec == json::error::too_deep) {
    return BadJson("too_deep",
                   fmt::format("more than {} objects and arrays inside each other", kMaxJsonDepth));
  }
  if (ec == json::error::exponent_overflow) {
    return BadJson("number_out_of_range", fmt::format("the exponent before byte {} is out of range", read));
  }
  if (!ec && read < json_text.size()) ec = json::error::extra_data;
  if (ec) return BadJson("invalid_json", fmt::format("not JSON from byte {} on: {}", read, ec.message()));
  return std::move(parser.handler());
}

}  // namespace

/// What may make a CanonicalJson without parsing it once more.
class RowParser {
 public:
  static absl::StatusOr<CanonicalJson> Value(std::string_view text) {
    // The row around the value is one level.
    SELVAGE_ASSIGN_OR_RETURN(CanonicalWriter writer, Canonicalise(text, kMaxJsonDepth - 1));
    return CanonicalJson(writer.TakeText());
  }

  static absl::StatusOr<Fields> Row(std::string_view text, int depth_max) {
    SELVAGE_ASSIGN_OR_RETURN(const CanonicalWriter writer, Canonicalise(text, depth_max));
    if (!writer.fields()) return BadJson("not_an_object", "a row is a JSON object");
    Fields fields;
    for (const auto& member : *writer.fields()) {
      const size_t size = member.value_to - member.value_from;
      fields.emplace_hint(fields.end(), member.name,
                          CanonicalJson(writer.text().substr(member.value_from, size)));
    }
    return fields;
  }
};

JsonNumber NumberOf(double value) {
  SELVAGE_CHECK(!std::isnan(value));
  constexpr double kMax = std::numeric_limits<double>::max();
  value = std::clamp(value, -kMax, kMax);
  // -2^63 and below 2^63: what an int64_t holds.
  if (value >= -0x1p63 && value < 0x1p63 && value == std::trunc(value)) return static_cast<int64_t>(value);
  return value;
}

JsonNumber Sum(const std::vector<JsonNumber>& numbers) {
  __extension__ using Wide = __int128;
  Wide integers = 0;
  double fractions = 0;
  constexpr double kMax = std::numeric_limits<double>::max();
  bool exact = true;
  for (const JsonNumber& number : numbers) {
    if (const auto* integer = std::get_if<int64_t>(&number)) {
      integers += *integer;
    } else {
      // Held within the doubles at each step, so that it never becomes infinite and then no number.
      fractions = std::clamp(fractions + std::get<double>(number), -kMax, kMax);
      exact = false;
    }
  }
  if (exact && integers >= std::numeric_limits<int64_t>::min() &&
      integers <= std::numeric_limits<int64_t>::max()) {
    return static_cast<int64_t>(integers);
  }
  return NumberOf(static_cast<double>(integers) + fractions);
}

std::optional<JsonNumber> NumberOfLiteral(std::string_view literal) {
  const char* end = literal.data() + literal.size();
  const bool integer = literal.find_first_of(".eE") == std::string_view::npos;
  if (integer) {
    int64_t value = 0;
    if (std::from_chars(literal.data(), end, value).ec == std::errc()) return value;
  }
  double value = 0;
  const auto read = std::from_chars(literal.data(), end, value);
  if (read.ec != std::errc() || !std::isfinite(value)) return std::nullopt;
  const bool zero =
      literal.substr(0, literal.find_first_of("eE")).find_first_of("123456789") == std::string_view::npos;
  if (value == 0 && !zero) return std::nullopt;
  // Beyond 64 bits the digits must be those of the double itself.
  if (integer && fmt::format("{:.0f}", value) != literal) return std::nullopt;
  return NumberOf(value);
}

std::string CanonicalNumber(const JsonNumber& number) {
  // Shortest digits that read back as the same number; 32 bytes hold every one.
  char buffer[32];
  const auto end = std::visit(
      [&](auto value) { return std::to_chars(buffer, buffer + sizeof buffer, value).ptr; }, number);
  return {buffer, end};
}

std::optional<JsonNumber> CanonicalNumberOf(std::string_view value) {
  if (value.empty() || (value[0] != '-' && (value[0] < '0' || value[0] > '9'))) return std::nullopt;
  return NumberOfLiteral(value);
}

std::strong_ordering Compare(const JsonNumber& a, const JsonNumber& b) {
  const auto* left = std::get_if<int64_t>(&a);
  const auto* right = std::get_if<int64_t>(&b);
  if (left != nullptr && right != nullptr) return *left <=> *right;
  // No double is equal to an integer of 64 bits, and none is infinite.
  if (left != nullptr) return CompareToDouble(*left, std::get<double>(b));
  if (right != nullptr) {
    return std::is_lt(CompareToDouble(*right, std::get<double>(a))) ? std::strong_ordering::greater
                                                                    : std::strong_ordering::less;
  }
  const double x = std::get<double>(a);
  const double y = std::get<double>(b);
  return x < y   ? std::strong_ordering::less
         : x > y ? std::strong_ordering::greater
                 : std::strong_ordering::equal;
}

absl::StatusOr<CanonicalJson> CanonicalJson::Parse(std::string_view json) {
  return RowParser::Value(json);
}

absl::StatusOr<CanonicalJson> CanonicalJson::FromBytes(std::string_view bytes) {
  SELVAGE_ASSIGN_OR_RETURN(CanonicalJson value, Parse(bytes));
  if (value.text() != bytes) return BadJson("not_canonical", "the value is not in its canonical form");
  return value;
}

absl::StatusOr<Fields> ParseFields(std::string_view json, int depth_max) {
  return RowParser::Row(json, depth_max);
}

void AppendJsonString(std::string& out, std::string_view text) {
  out.push_back('"');
  // Most texts need no escape, so what lies between two is copied at once.
  const auto is_plain = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\'; };
  while (true) {
    const auto* const end = std::find_if_not(text.begin(), text.end(), is_plain);
    const auto plain = static_cast<size_t>(end - text.begin());
    out.append(text.substr(0, plain));
    if (plain == text.size()) break;
    AppendEscape(out, text[plain]);
    text.remove_prefix(plain + 1);
  }
  out.push_back('"');
}

std::string_view CutUtf8(std::string_view text, size_t max) {
  if (text.size() <= max) return text;
  const auto inside = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; };
  while (max > 0 && inside(text[max])) --max;
  return text.substr(0, max);
}

bool IsValidUtf8(std::string_view text) {
  while (true) {
    text.remove_prefix(SizeOfAsciiFront(text));
    if (text.empty()) return true;
    const Utf8Character character = DecodeUtf8(text);
    if (!character.valid) return false;
    text.remove_prefix(character.size);
  }
  return true;
}

}  // namespace selvage::table
