#include <fmt/format.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <memory>

#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"
#include "fabric/stream/record_format.h"

namespace selvage {
namespace {

using namespace record_format;

struct Buffer {
  std::unique_ptr<char[]> data;
  size_t size = 0;
};

absl::Status TooLarge(size_t max_bytes) {
  return MakeError(absl::StatusCode::kInvalidArgument, "batch_too_large",
                   fmt::format("the records take more than {} bytes when decompressed", max_bytes),
                   "raise the limit on decompressed bytes, or let the producer send smaller batches");
}

/// Decompresses in one go into a buffer of guessed size, again with a larger one when the guess was too
/// small. This way no window is allocated (a frame may ask for 128 MiB), and the size that the frame claims
/// is only a first guess.
absl::StatusOr<Buffer> DecompressZstd(std::string_view compressed, size_t max_bytes) {
  constexpr size_t kFirstGuess = 64u << 10;
  const unsigned long long claimed = ZSTD_getFrameContentSize(compressed.data(), compressed.size());
  const bool known = claimed != ZSTD_CONTENTSIZE_UNKNOWN && claimed != ZSTD_CONTENTSIZE_ERROR;
  if (known && claimed > max_bytes) return TooLarge(max_bytes);

  size_t capacity = std::min(max_bytes, known ? static_cast<size_t>(claimed) : kFirstGuess);
  for (;;) {
    Buffer buffer{std::make_unique_for_overwrite<char[]>(capacity), 0};
    const size_t result = ZSTD_decompress(buffer.data.get(), capacity, compressed.data(), compressed.size());
    if (!ZSTD_isError(result)) {
      buffer.size = result;
      return buffer;
    }
    if (ZSTD_getErrorCode(result) != ZSTD_error_dstSize_tooSmall) {
      return MakeError(absl::StatusCode::kInvalidArgument, "invalid_record",
                       fmt::format("zstd cannot decompress the records: {}", ZSTD_getErrorName(result)),
                       "the producer compressed the batch wrongly; update or replace the client");
    }
    if (capacity >= max_bytes) return TooLarge(max_bytes);
    capacity =
        capacity > max_bytes / 4 ? max_bytes : std::max(capacity * 4, std::min(kFirstGuess, max_bytes));
  }
}

std::optional<std::string> ToOwned(const std::optional<std::string_view>& bytes) {
  if (!bytes.has_value()) return std::nullopt;
  return std::string(*bytes);
}

Record ToRecord(const BatchHeader& header, const RecordView& view) {
  Record record;
  record.offset = header.base_offset + int64_t{view.offset_delta};
  // Unsigned: a timestamp far out may wrap, which is defined.
  record.timestamp = (header.attributes & kLogAppendTimeBit) != 0
                         ? header.max_timestamp
                         : static_cast<int64_t>(static_cast<uint64_t>(header.base_timestamp) +
                                                static_cast<uint64_t>(view.timestamp_delta));
  record.key = ToOwned(view.key);
  record.value = ToOwned(view.value);
  record.headers.reserve(static_cast<size_t>(view.header_count));
  std::string_view rest = view.headers;
  for (HeaderView one; !rest.empty() && TakeHeader(rest, one);) {
    record.headers.push_back({std::string(one.key), ToOwned(one.value)});
  }
  return record;
}

}  // namespace

absl::StatusOr<std::vector<Record>> DecodeRecords(std::string_view batch, size_t max_bytes) {
  SELVAGE_ASSIGN_OR_RETURN(const BatchHeader header, ParseBatchHeader(batch));
  if (!BatchCrcMatches(batch)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_batch", "the CRC does not match the bytes",
                     "the bytes were damaged after the producer made them");
  }
  std::string_view records = batch.substr(kBatchHeaderSize);
  const auto codec = static_cast<Codec>(header.codec_bits());
  Buffer buffer;
  if (codec == Codec::kZstd) {
    SELVAGE_ASSIGN_OR_RETURN(buffer, DecompressZstd(records, max_bytes));
    records = std::string_view(buffer.data.get(), buffer.size);
  } else if (codec != Codec::kNone) {
    return MakeError(absl::StatusCode::kUnimplemented, "unsupported_codec",
                     fmt::format("cannot decompress {} records", CodecName(codec)),
                     "read this stream with a Kafka client, or let the producer use zstd or no compression");
  }
  if (records.size() > max_bytes) return TooLarge(max_bytes);

  std::vector<Record> decoded;
  decoded.reserve(std::min(static_cast<size_t>(header.record_count), records.size() / kMinRecordSize));
  SELVAGE_RETURN_IF_ERROR(ForEachRecord(records, header.record_count, [&](const RecordView& view) {
    decoded.push_back(ToRecord(header, view));
  }));
  return decoded;
}

}  // namespace selvage
