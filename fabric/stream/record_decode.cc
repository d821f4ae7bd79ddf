#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"
#include "fabric/stream/record_format.h"

namespace selvage {
namespace {

using namespace record_format;

/// What a header announces is believed up to here.
constexpr int32_t kReserveMax = 4096;

std::optional<std::string> ToOwned(const std::optional<std::string_view>& bytes) {
  if (!bytes.has_value()) return std::nullopt;
  return std::string(*bytes);
}

Record ToRecord(const BatchHeader& header, const RecordView& view) {
  Record record;
  record.offset = header.base_offset + int64_t{view.offset_delta};
  record.timestamp = TimestampOf(header, view);
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

namespace record_format {

int64_t TimestampOf(const BatchHeader& header, const RecordView& view) {
  if ((header.attributes & kLogAppendTimeBit) != 0) return header.max_timestamp;
  // Unsigned: a timestamp far out may wrap, which is defined.
  return static_cast<int64_t>(static_cast<uint64_t>(header.base_timestamp) +
                              static_cast<uint64_t>(view.timestamp_delta));
}

absl::Status VisitRecords(std::string_view batch, size_t max_bytes,
                          absl::FunctionRef<void(const BatchHeader&, const RecordView&)> visit) {
  SELVAGE_ASSIGN_OR_RETURN(const BatchHeader header, ParseBatchHeader(batch));
  if (!BatchCrcMatches(batch)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_batch", "the CRC does not match the bytes",
                     "the bytes were damaged after the producer made them");
  }
  SELVAGE_ASSIGN_OR_RETURN(const Decompressed records, Decompress(static_cast<Codec>(header.codec_bits()),
                                                                  batch.substr(kBatchHeaderSize), max_bytes));
  return ForEachRecord(records.view(), header.record_count, header.last_offset_delta,
                       [&](const RecordView& view) { visit(header, view); });
}

}  // namespace record_format

absl::StatusOr<std::vector<Record>> DecodeRecords(std::string_view batch, size_t max_bytes) {
  std::vector<Record> decoded;
  SELVAGE_RETURN_IF_ERROR(
      VisitRecords(batch, max_bytes, [&](const BatchHeader& header, const RecordView& view) {
        if (decoded.empty()) decoded.reserve(static_cast<size_t>(std::min(header.record_count, kReserveMax)));
        decoded.push_back(ToRecord(header, view));
      }));
  return decoded;
}

absl::StatusOr<std::optional<RecordTime>> FirstRecordAtOrAfter(std::string_view batch, int64_t timestamp_ms,
                                                               Offset from, size_t max_bytes) {
  std::optional<RecordTime> found;
  SELVAGE_RETURN_IF_ERROR(
      VisitRecords(batch, max_bytes, [&](const BatchHeader& header, const RecordView& view) {
        const Offset offset = header.base_offset + int64_t{view.offset_delta};
        const int64_t timestamp = TimestampOf(header, view);
        if (!found && offset >= from && timestamp >= timestamp_ms) found = RecordTime{offset, timestamp};
      }));
  return found;
}

}  // namespace selvage
