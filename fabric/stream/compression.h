#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

/// The codecs that a record batch may name, each in the form that Kafka's clients write and read.
namespace selvage {

enum class Codec : uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };
std::string_view CodecName(Codec codec);

/// Bytes that were decompressed, or a view of the bytes given when there was nothing to do.
class Decompressed {
 public:
  explicit Decompressed(std::string_view borrowed) : bytes_(borrowed) {}
  Decompressed(std::unique_ptr<char[]> owned, size_t size)
      : owned_(std::move(owned)), bytes_(owned_.get(), size) {}

  /// Valid as long as this and, for Codec::kNone, what it was made from.
  std::string_view view() const { return bytes_; }

 private:
  std::unique_ptr<char[]> owned_;
  std::string_view bytes_;
};

/// The bytes behind `compressed`: gzip members, snappy as one raw block or in the framing of Java's snappy
/// (xerial), LZ4 frames, zstd frames. Whatever sizes the input claims, no more than `max_bytes` are allocated
/// for the result, and a few MiB for the work at the most. Errors: "batch_too_large" when there are more;
/// "invalid_record" for what the codec cannot read, to the last byte, and for an unknown codec.
absl::StatusOr<Decompressed> Decompress(Codec codec, std::string_view compressed, size_t max_bytes);

/// Appends `data` in compressed form, as every client reads it: one gzip member, one raw snappy block
/// (librdkafka writes the same), one LZ4 frame of independent blocks (Java refuses others), one zstd frame.
/// `data` is less than 2 GiB.
void AppendCompressed(Codec codec, std::string_view data, std::string& out);

}  // namespace selvage
