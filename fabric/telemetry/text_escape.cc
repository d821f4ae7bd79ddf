#include "fabric/telemetry/text_escape.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace selvage::internal {
namespace {

/// One character of the text: its code point and bytes. A byte that starts no valid UTF-8 sequence stands
/// alone.
struct Character {
  uint32_t code = 0;
  size_t size = 1;
  bool valid = false;
};

Character DecodeUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return {first, 1, false};
  uint32_t code = first & (0x7Fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {first, 1, false};
    code = (code << 6) | (byte(i) & 0x3Fu);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kLeast[size] || code > 0x10FFFF || surrogate) return {first, 1, false};
  return {code, size, true};
}

/// C0, DEL and C1: what a terminal may act on; and the two line separators of Unicode.
bool IsControl(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029;
}

/// The escape both formats share, if the character has one.
const char* ShortEscape(uint32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\\':
      return "\\\\";
    default:
      return nullptr;
  }
}

}  // namespace

void AppendJsonEscaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const Character c = DecodeUtf8(text);
    if (!c.valid) {
      out += "\xEF\xBF\xBD";
    } else if (const char* escape = ShortEscape(c.code)) {
      out += escape;
    } else if (c.code == '"') {
      out += "\\\"";
    } else if (IsControl(c.code)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", c.code);
    } else {
      out += text.substr(0, c.size);
    }
    text.remove_prefix(c.size);
  }
}

void AppendTextEscaped(std::string& out, std::string_view text, bool quotes) {
  while (!text.empty()) {
    const Character c = DecodeUtf8(text);
    if (const char* escape = c.valid ? ShortEscape(c.code) : nullptr) {
      out += escape;
    } else if (quotes && c.code == '"') {
      out += "\\\"";
    } else if (!c.valid || IsControl(c.code)) {
      for (char byte : text.substr(0, c.size)) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(byte));
      }
    } else {
      out += text.substr(0, c.size);
    }
    text.remove_prefix(c.size);
  }
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  while (!text.empty()) {
    const Character c = DecodeUtf8(text);
    if (!c.valid || IsControl(c.code) || c.code == ' ' || c.code == '"' || c.code == '=' || c.code == '\\')
      return true;
    text.remove_prefix(c.size);
  }
  return false;
}

}  // namespace selvage::internal
