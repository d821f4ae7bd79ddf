#include "fabric/model/chunker.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace selvage::model {
namespace {

/// Bits by which a cut is rarer before the average size, and more frequent after it.
constexpr int kNormalization = 2;

/// A random number for each byte, from SplitMix64 (Steele et al., OOPSLA 2014).
constexpr std::array<uint64_t, 256> kGear = [] {
  std::array<uint64_t, 256> gear{};
  uint64_t state = 0x53656c76616765;
  for (uint64_t& number : gear) {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    number = z ^ (z >> 31);
  }
  return gear;
}();

}  // namespace

size_t FirstChunk(std::string_view data, const ChunkSizes& sizes) {
  const size_t end = std::min(data.size(), sizes.max);
  if (end <= sizes.min) return end;
  const int bits = std::bit_width(sizes.average) - 1;
  // The upper bits of the hash: each depends on the last 64 bytes, a lower bit on fewer.
  const int before = 64 - (bits + kNormalization);
  const int after = 64 - (bits - kNormalization);
  uint64_t hash = 0;
  size_t at = sizes.min;
  for (const size_t stop = std::min(end, sizes.average); at < stop; ++at) {
    hash = (hash << 1) + kGear[static_cast<uint8_t>(data[at])];
    if (hash >> before == 0) return at + 1;
  }
  for (; at < end; ++at) {
    hash = (hash << 1) + kGear[static_cast<uint8_t>(data[at])];
    if (hash >> after == 0) return at + 1;
  }
  return end;
}

}  // namespace selvage::model
