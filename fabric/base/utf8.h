#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace selvage {

/// One character of a text: its code point and how many bytes it takes. A byte that starts no valid UTF-8
/// sequence stands alone.
struct Utf8Character {
  uint32_t code = 0;
  size_t size = 1;
  bool valid = false;
};
/// The first character of `text`, which must not be empty.
Utf8Character DecodeUtf8(std::string_view text);

/// A text that came from elsewhere as a document can hold it: valid UTF-8, of at most `max_bytes`, whole
/// characters only. What is no character becomes U+FFFD. Documents with other bytes can be written, but not
/// be read again.
std::string DocumentText(std::string_view text, size_t max_bytes);

}  // namespace selvage
