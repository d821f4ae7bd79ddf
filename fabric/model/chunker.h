#pragma once

#include <cstddef>
#include <string_view>

/// Where data is cut into chunks: by its content, so that a version which differs a little from another one
/// shares most chunks with it, also behind bytes that were put in or taken out. FastCDC (Xia et al., USENIX
/// ATC 2016), with normalized chunk sizes.
///
///   version 1   |  A  |   B   | C |    D    |
///   version 2   |  A  |  B'  | C |    D    |      a byte within B went: one chunk is new
namespace selvage::model {

struct ChunkSizes {
  size_t min = 16 << 10;
  size_t average = 64 << 10;  ///< a power of two, above `min`
  size_t max = 256 << 10;
};

/// Longer chunks are in no manifest.
inline constexpr size_t kChunkMax = 1 << 20;

/// The length of the first chunk of `data`. The last chunk ends with the data: `data` has to hold at least
/// `sizes.max` bytes, or all that is left. The answer depends on nothing but these bytes and sizes, for ever:
/// two versions that cut differently share nothing.
size_t FirstChunk(std::string_view data, const ChunkSizes& sizes = {});

}  // namespace selvage::model
