#include "fabric/stream/compression.h"

#include <fmt/format.h>
#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr int kZstdLevel = 3;
constexpr size_t kFirstGuess = 64u << 10;

// Java's snappy: this, two version numbers, then blocks behind their lengths.
constexpr std::string_view kXerialMagic("\x82SNAPPY\0", 8);
constexpr size_t kXerialHeaderSize = 16;

absl::Status TooLarge(size_t max_bytes) {
  return MakeError(absl::StatusCode::kInvalidArgument, "batch_too_large",
                   fmt::format("the records take more than {} bytes when decompressed", max_bytes),
                   "raise the limit on decompressed bytes, or let the producer send smaller batches");
}

absl::Status Unreadable(Codec codec, std::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_record",
                   fmt::format("{} cannot decompress the records: {}", CodecName(codec), why),
                   "the producer compressed the batch wrongly; update or replace the client");
}

/// Output of a decoder that does not know how much there will be. Grows up to a limit; whatever would come
/// behind that goes into a single spare byte, which tells that it was exceeded.
class GrowingBuffer {
 public:
  explicit GrowingBuffer(size_t max_bytes)
      : max_(max_bytes), capacity_(std::min(max_bytes, kFirstGuess)), data_(New(capacity_)) {}

  /// Where to write next, and how much; never nothing.
  char* out() { return size_ < capacity_ ? data_.get() + size_ : &spare_; }
  size_t room() const { return size_ < capacity_ ? capacity_ - size_ : 1; }
  /// So many bytes were written there. False when that is more than the limit allows.
  bool Wrote(size_t bytes) {
    if (size_ == capacity_) return bytes == 0;
    size_ += bytes;
    if (size_ == capacity_ && capacity_ < max_) Grow();
    return true;
  }
  Decompressed Take() { return Decompressed(std::move(data_), size_); }

 private:
  static std::unique_ptr<char[]> New(size_t bytes) { return std::make_unique_for_overwrite<char[]>(bytes); }
  void Grow() {
    capacity_ = capacity_ > max_ / 2 ? max_ : capacity_ * 2;
    auto larger = New(capacity_);
    std::copy_n(data_.get(), size_, larger.get());
    data_ = std::move(larger);
  }

  const size_t max_;
  size_t capacity_;
  size_t size_ = 0;
  std::unique_ptr<char[]> data_;
  char spare_ = 0;
};

absl::StatusOr<Decompressed> Inflate(z_stream& stream, size_t max_bytes) {
  GrowingBuffer buffer(max_bytes);
  int result = Z_OK;
  while (result != Z_STREAM_END || stream.avail_in > 0) {
    // Members may follow one another.
    if (result == Z_STREAM_END && inflateReset(&stream) != Z_OK) return Unreadable(Codec::kGzip, "no memory");
    const size_t room = std::min<size_t>(buffer.room(), 1u << 30);
    stream.next_out = reinterpret_cast<Bytef*>(buffer.out());
    stream.avail_out = static_cast<uInt>(room);
    result = inflate(&stream, Z_NO_FLUSH);
    const size_t wrote = room - stream.avail_out;
    if (!buffer.Wrote(wrote)) return TooLarge(max_bytes);
    if (result == Z_BUF_ERROR || (result == Z_OK && stream.avail_in == 0 && wrote == 0)) {
      return Unreadable(Codec::kGzip, "the data end too early");
    }
    if (result != Z_OK && result != Z_STREAM_END) {
      return Unreadable(Codec::kGzip, stream.msg != nullptr ? stream.msg : "not in its format");
    }
  }
  return buffer.Take();
}

absl::StatusOr<Decompressed> DecompressGzip(std::string_view compressed, size_t max_bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) return Unreadable(Codec::kGzip, "no memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  auto decompressed = Inflate(stream, max_bytes);
  inflateEnd(&stream);
  return decompressed;
}

/// Takes the next block off the front of `in`: all of it, or in Java's framing what its length says.
bool TakeSnappyBlock(std::string_view& in, bool framed, std::string_view& block) {
  if (!framed) {
    block = std::exchange(in, {});
    return true;
  }
  // Streams may follow one another, each with a header.
  while (in.starts_with(kXerialMagic) && in.size() >= kXerialHeaderSize) in.remove_prefix(kXerialHeaderSize);
  if (in.empty()) {
    block = {};
    return true;
  }
  if (in.size() < 4) return false;
  const auto size = LoadBig<uint32_t>(in.data());
  in.remove_prefix(4);
  if (size == 0 || size > in.size()) return false;
  block = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

absl::StatusOr<Decompressed> DecompressSnappy(std::string_view compressed, size_t max_bytes) {
  const bool framed = compressed.starts_with(kXerialMagic);
  size_t total = 0;
  std::string_view block;
  for (std::string_view rest = compressed; !rest.empty();) {
    if (!TakeSnappyBlock(rest, framed, block)) return Unreadable(Codec::kSnappy, "a block is cut off");
    size_t size = 0;
    if (framed && block.empty()) break;
    if (!snappy::GetUncompressedLength(block.data(), block.size(), &size)) {
      return Unreadable(Codec::kSnappy, "a block has no length");
    }
    if (size > max_bytes - total) return TooLarge(max_bytes);
    total += size;
  }
  auto data = std::make_unique_for_overwrite<char[]>(total);
  char* at = data.get();
  for (std::string_view rest = compressed; !rest.empty();) {
    TakeSnappyBlock(rest, framed, block);
    if (framed && block.empty()) break;
    size_t size = 0;
    snappy::GetUncompressedLength(block.data(), block.size(), &size);
    if (!snappy::RawUncompress(block.data(), block.size(), at)) {
      return Unreadable(Codec::kSnappy, "a block is not in its format");
    }
    at += size;
  }
  return Decompressed(std::move(data), total);
}

absl::StatusOr<Decompressed> DecompressLz4(std::string_view compressed, size_t max_bytes) {
  LZ4F_dctx* made = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&made, LZ4F_VERSION))) {
    return Unreadable(Codec::kLz4, "no memory");
  }
  const std::unique_ptr<LZ4F_dctx, decltype(&LZ4F_freeDecompressionContext)> context(
      made, &LZ4F_freeDecompressionContext);
  GrowingBuffer buffer(max_bytes);
  size_t wanted = 1;  // 0 at the end of a frame
  while (wanted != 0 || !compressed.empty()) {
    size_t wrote = buffer.room();
    size_t read = compressed.size();
    wanted = LZ4F_decompress(context.get(), buffer.out(), &wrote, compressed.data(), &read, nullptr);
    if (LZ4F_isError(wanted)) return Unreadable(Codec::kLz4, LZ4F_getErrorName(wanted));
    compressed.remove_prefix(read);
    if (!buffer.Wrote(wrote)) return TooLarge(max_bytes);
    if (wanted != 0 && read == 0 && wrote == 0) return Unreadable(Codec::kLz4, "the data end too early");
  }
  return buffer.Take();
}

/// Decompresses in one go into a buffer of guessed size, again with a larger one when the guess was too
/// small. This way no window is allocated (a frame may ask for 128 MiB), and the size that the frame claims
/// is only a first guess.
absl::StatusOr<Decompressed> DecompressZstd(std::string_view compressed, size_t max_bytes) {
  const unsigned long long claimed = ZSTD_getFrameContentSize(compressed.data(), compressed.size());
  const bool known = claimed != ZSTD_CONTENTSIZE_UNKNOWN && claimed != ZSTD_CONTENTSIZE_ERROR;
  if (known && claimed > max_bytes) return TooLarge(max_bytes);

  size_t capacity = std::min(max_bytes, known ? static_cast<size_t>(claimed) : kFirstGuess);
  for (;;) {
    auto data = std::make_unique_for_overwrite<char[]>(capacity);
    const size_t result = ZSTD_decompress(data.get(), capacity, compressed.data(), compressed.size());
    if (!ZSTD_isError(result)) return Decompressed(std::move(data), result);
    if (ZSTD_getErrorCode(result) != ZSTD_error_dstSize_tooSmall) {
      return Unreadable(Codec::kZstd, ZSTD_getErrorName(result));
    }
    if (capacity >= max_bytes) return TooLarge(max_bytes);
    capacity =
        capacity > max_bytes / 4 ? max_bytes : std::max(capacity * 4, std::min(kFirstGuess, max_bytes));
  }
}

/// Gives `out` room for `bound` more bytes, lets `compress` write there and keeps what it says it wrote.
template <class Compressor>
void AppendBounded(std::string& out, size_t bound, const Compressor& compress) {
  const size_t start = out.size();
  out.resize(start + bound);
  const size_t size = compress(out.data() + start);
  SELVAGE_CHECK(size <= bound);
  out.resize(start + size);
}

void AppendGzip(std::string_view data, std::string& out) {
  constexpr int kMemoryLevel = 8;  // zlib's own default
  z_stream stream{};
  SELVAGE_CHECK(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, kMemoryLevel,
                             Z_DEFAULT_STRATEGY) == Z_OK);
  const size_t bound = deflateBound(&stream, data.size());
  AppendBounded(out, bound, [&](char* to) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<Bytef*>(to);
    stream.avail_out = static_cast<uInt>(bound);
    SELVAGE_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    return bound - stream.avail_out;
  });
  deflateEnd(&stream);
}

void AppendSnappy(std::string_view data, std::string& out) {
  AppendBounded(out, snappy::MaxCompressedLength(data.size()), [&](char* to) {
    size_t size = 0;
    snappy::RawCompress(data.data(), data.size(), to, &size);
    return size;
  });
}

void AppendLz4(std::string_view data, std::string& out) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  const size_t bound = LZ4F_compressFrameBound(data.size(), &preferences);
  AppendBounded(out, bound, [&](char* to) {
    const size_t size = LZ4F_compressFrame(to, bound, data.data(), data.size(), &preferences);
    SELVAGE_CHECK(!LZ4F_isError(size));
    return size;
  });
}

void AppendZstd(std::string_view data, std::string& out) {
  const size_t bound = ZSTD_compressBound(data.size());
  AppendBounded(out, bound, [&](char* to) {
    const size_t size = ZSTD_compress(to, bound, data.data(), data.size(), kZstdLevel);
    SELVAGE_CHECK(!ZSTD_isError(size));
    return size;
  });
}

}  // namespace

std::string_view CodecName(Codec codec) {
  switch (codec) {
    case Codec::kNone:
      return "none";
    case Codec::kGzip:
      return "gzip";
    case Codec::kSnappy:
      return "snappy";
    case Codec::kLz4:
      return "lz4";
    case Codec::kZstd:
      return "zstd";
  }
  return "unknown";
}

absl::StatusOr<Decompressed> Decompress(Codec codec, std::string_view compressed, size_t max_bytes) {
  if (codec != Codec::kNone && compressed.empty()) return Unreadable(codec, "there are no data");
  switch (codec) {
    case Codec::kNone:
      if (compressed.size() > max_bytes) return TooLarge(max_bytes);
      return Decompressed(compressed);
    case Codec::kGzip:
      return DecompressGzip(compressed, max_bytes);
    case Codec::kSnappy:
      return DecompressSnappy(compressed, max_bytes);
    case Codec::kLz4:
      return DecompressLz4(compressed, max_bytes);
    case Codec::kZstd:
      return DecompressZstd(compressed, max_bytes);
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_record",
                   fmt::format("unknown compression codec {}", static_cast<int>(codec)),
                   "use none, gzip, snappy, lz4 or zstd");
}

void AppendCompressed(Codec codec, std::string_view data, std::string& out) {
  SELVAGE_CHECK(data.size() < size_t{1} << 31);
  switch (codec) {
    case Codec::kNone:
      out.append(data);
      break;
    case Codec::kGzip:
      AppendGzip(data, out);
      break;
    case Codec::kSnappy:
      AppendSnappy(data, out);
      break;
    case Codec::kLz4:
      AppendLz4(data, out);
      break;
    case Codec::kZstd:
      AppendZstd(data, out);
      break;
  }
}

}  // namespace selvage
