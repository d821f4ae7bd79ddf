#include "fabric/table/canonical_reader.h"

#include <algorithm>
#include <charconv>

namespace selvage::table {
namespace {

/// Bytes of the string at the front of `text`, which begins with a quote.
size_t StringSize(std::string_view text) {
  for (size_t at = 1; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return text.size();
}

/// Bytes of the array or object at the front of `text`.
size_t NestedSize(std::string_view text) {
  size_t depth = 0;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      at += StringSize(text.substr(at));
      continue;
    }
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
  return text.size();
}

std::string_view TakeValueText(std::string_view& rest) {
  if (rest.empty()) return {};
  size_t size = 0;
  if (rest[0] == '"') {
    size = StringSize(rest);
  } else if (rest[0] == '{' || rest[0] == '[') {
    size = NestedSize(rest);
  } else {
    size = std::min(rest.find_first_of(",]}"), rest.size());
  }
  const std::string_view value = rest.substr(0, size);
  rest.remove_prefix(size);
  return value;
}

}  // namespace

JsonType TypeOf(std::string_view value) {
  switch (value.empty() ? 'n' : value[0]) {
    case '{':
      return JsonType::kObject;
    case '[':
      return JsonType::kArray;
    case '"':
      return JsonType::kString;
    case 't':
    case 'f':
      return JsonType::kBoolean;
    case 'n':
      return JsonType::kNull;
    default:
      return JsonType::kNumber;
  }
}

CanonicalReader::CanonicalReader(std::string_view value) {
  const JsonType type = TypeOf(value);
  if (type != JsonType::kObject && type != JsonType::kArray) return;
  object_ = type == JsonType::kObject;
  rest_ = value.substr(1);
}

bool CanonicalReader::Next(Part& part) {
  if (!rest_.empty() && rest_[0] == ',') rest_.remove_prefix(1);
  if (rest_.empty() || rest_[0] == '}' || rest_[0] == ']') return false;
  part = {};
  if (object_) {
    part.name = TakeValueText(rest_);
    if (rest_.empty() || rest_[0] != ':') return false;
    rest_.remove_prefix(1);
  }
  part.value = TakeValueText(rest_);
  return !part.value.empty();
}

std::string TextOf(std::string_view canonical_string) {
  std::string text;
  if (canonical_string.size() < 2) return text;
  std::string_view rest = canonical_string.substr(1, canonical_string.size() - 2);
  while (!rest.empty()) {
    const char c = rest[0];
    rest.remove_prefix(1);
    if (c != '\\' || rest.empty()) {
      text.push_back(c);
      continue;
    }
    const char escaped = rest[0];
    rest.remove_prefix(1);
    constexpr std::string_view kShort = "bfnrt";
    constexpr std::string_view kMeaning = "\b\f\n\r\t";
    if (const size_t at = kShort.find(escaped); at != std::string_view::npos) {
      text.push_back(kMeaning[at]);
    } else if (escaped == 'u') {
      // Canonical strings write only characters below U+0020 so.
      const std::string_view digits = rest.substr(0, 4);
      unsigned code = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
      text.push_back(static_cast<char>(code));
      rest.remove_prefix(digits.size());
    } else {
      text.push_back(escaped);
    }
  }
  return text;
}

}  // namespace selvage::table
