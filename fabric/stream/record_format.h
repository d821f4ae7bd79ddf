#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "fabric/stream/record_batch.h"

/// The bytes of a record batch, for the files that read and write it. Users of batches include
/// record_batch.h.
namespace selvage::record_format {

// Where the fixed fields begin.
inline constexpr size_t kBaseOffsetAt = 0;
inline constexpr size_t kBatchLengthAt = 8;
inline constexpr size_t kLeaderEpochAt = 12;
inline constexpr size_t kMagicAt = 16;  ///< the same place in the formats v0 and v1
inline constexpr size_t kCrcAt = 17;
inline constexpr size_t kAttributesAt = 21;  ///< the CRC covers everything from here on
inline constexpr size_t kLastOffsetDeltaAt = 23;
inline constexpr size_t kBaseTimestampAt = 27;
inline constexpr size_t kMaxTimestampAt = 35;
inline constexpr size_t kProducerIdAt = 43;
inline constexpr size_t kProducerEpochAt = 51;
inline constexpr size_t kBaseSequenceAt = 53;
inline constexpr size_t kRecordCountAt = 57;

inline constexpr int8_t kMagic = 2;
inline constexpr int16_t kLogAppendTimeBit = 0x08;

/// One record, as views into the bytes it was read from.
struct RecordView {
  int64_t timestamp_delta = 0;
  int32_t offset_delta = 0;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  int32_t header_count = 0;
  std::string_view bytes;    ///< all of it, with its length
  std::string_view headers;  ///< well-formed: TakeHeader succeeds `header_count` times and leaves nothing
};

struct HeaderView {
  std::string_view key;
  std::optional<std::string_view> value;
};

/// Takes one record header off the front of `in`. False, with `in` unspecified, when it is malformed.
bool TakeHeader(std::string_view& in, HeaderView& header);

/// Reads uncompressed records and calls `visit` on each. They must be well-formed, number exactly `count`,
/// have rising offset deltas up to `last_offset_delta` (so that none is left out where that is `count` - 1),
/// and leave no byte over; otherwise "invalid_record" (kInvalidArgument), after `visit` has seen the records
/// before the fault.
absl::Status ForEachRecord(std::string_view records, int32_t count, int32_t last_offset_delta,
                           absl::FunctionRef<void(const RecordView&)> visit);

/// Calls `visit` on each record of a batch of whatever codec. Errors: those of DecodeRecords.
absl::Status VisitRecords(std::string_view batch, size_t max_bytes,
                          absl::FunctionRef<void(const BatchHeader&, const RecordView&)> visit);

int64_t TimestampOf(const BatchHeader& header, const RecordView& record);

}  // namespace selvage::record_format
