#include "fabric/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace selvage {
namespace internal {
namespace {

uint32_t Compute(Crc32cFunction function, uint32_t crc, std::string_view bytes) {
  constexpr size_t kMaxStep = size_t{1} << 30;  // the length is an int
  crc = ~crc;
  while (!bytes.empty()) {
    const size_t step = std::min(bytes.size(), kMaxStep);
    // Only read, though not declared so.
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
    crc = function(data, static_cast<int>(step), crc);
    bytes.remove_prefix(step);
  }
  return ~crc;
}

struct Choice {
  Crc32cFunction function;
  bool trusted;
};

const Choice& Chosen() {
  static const Choice choice =
      AnswersAreRight(&crc32_iscsi) ? Choice{&crc32_iscsi, true} : Choice{&crc32_iscsi_base, false};
  return choice;
}

}  // namespace

bool AnswersAreRight(Crc32cFunction function) {
  // From RFC 3720, B.4, and the check value that catalogues of CRCs give.
  if (Compute(function, 0, "123456789") != 0xe3069283u) return false;
  std::array<char, 32> thirty_two{};
  if (Compute(function, 0, {thirty_two.data(), thirty_two.size()}) != 0x8a9136aau) return false;
  thirty_two.fill('\xff');
  if (Compute(function, 0, {thirty_two.data(), thirty_two.size()}) != 0x62a8ab43u) return false;

  std::array<char, 8192> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>((i * 2654435761u) >> 13);
  const std::string_view all(bytes.data(), bytes.size());
  uint32_t crc = 0;
  for (size_t size = 0; size + 16 < all.size(); size += size < 300 ? 1 : 211) {
    const std::string_view piece = all.substr(size % 16, size);
    const uint32_t right = Compute(&crc32_iscsi_base, crc, piece);
    if (Compute(function, crc, piece) != right) return false;
    crc = right;
  }
  return true;
}

}  // namespace internal

uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
  return internal::Compute(internal::Chosen().function, crc, bytes);
}

bool Crc32cIsTrusted() {
  return internal::Chosen().trusted;
}

}  // namespace selvage
