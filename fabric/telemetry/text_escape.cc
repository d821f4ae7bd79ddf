#include "fabric/telemetry/text_escape.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

#include "fabric/base/utf8.h"

namespace selvage::internal {
namespace {

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
    const Utf8Character c = DecodeUtf8(text);
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
    const Utf8Character c = DecodeUtf8(text);
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
    const Utf8Character c = DecodeUtf8(text);
    if (!c.valid || IsControl(c.code) || c.code == ' ' || c.code == '"' || c.code == '=' || c.code == '\\')
      return true;
    text.remove_prefix(c.size);
  }
  return false;
}

}  // namespace selvage::internal
