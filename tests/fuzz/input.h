#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace selvage::fuzz {

/// Reads the bytes that a fuzzer made up, from the front. When they are used up everything reads as 0 or
/// empty.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  /// Little-endian.
  template <class Int>
  Int Number() {
    Int number{};
    const size_t size = std::min(sizeof number, rest_.size());
    std::memcpy(&number, rest_.data(), size);
    rest_.remove_prefix(size);
    return number;
  }
  uint8_t Byte() { return Number<uint8_t>(); }
  bool Bit() { return (Byte() & 1) != 0; }
  /// In [0, n).
  uint32_t Below(uint32_t n) { return Byte() % n; }
  template <class T>
  T OneOf(const std::vector<T>& values) {
    return values[Below(static_cast<uint32_t>(values.size()))];
  }
  /// As many bytes as the next two say, or what is left.
  std::string_view Bytes() { return Take(Number<uint16_t>()); }
  std::string_view Rest() { return Take(rest_.size()); }

 private:
  std::string_view Take(size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view rest_;
};

}  // namespace selvage::fuzz
