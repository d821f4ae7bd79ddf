#include "fabric/stream/record_batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_format.h"

namespace selvage {
namespace {

using namespace record_format;

BatchHeader ReadFields(std::string_view bytes) {
  const char* at = bytes.data();
  BatchHeader header;
  header.base_offset = Offset(LoadBig<int64_t>(at + kBaseOffsetAt));
  header.batch_length = LoadBig<int32_t>(at + kBatchLengthAt);
  header.leader_epoch = LeaderEpoch(LoadBig<int32_t>(at + kLeaderEpochAt));
  header.magic = LoadBig<int8_t>(at + kMagicAt);
  header.crc = LoadBig<uint32_t>(at + kCrcAt);
  header.attributes = LoadBig<int16_t>(at + kAttributesAt);
  header.last_offset_delta = LoadBig<int32_t>(at + kLastOffsetDeltaAt);
  header.base_timestamp = LoadBig<int64_t>(at + kBaseTimestampAt);
  header.max_timestamp = LoadBig<int64_t>(at + kMaxTimestampAt);
  header.producer_id = LoadBig<int64_t>(at + kProducerIdAt);
  header.producer_epoch = LoadBig<int16_t>(at + kProducerEpochAt);
  header.base_sequence = LoadBig<int32_t>(at + kBaseSequenceAt);
  header.record_count = LoadBig<int32_t>(at + kRecordCountAt);
  return header;
}

/// What is wrong with the frame, the fields that say where the batch begins and ends; empty when nothing is.
std::string FrameFault(std::string_view bytes) {
  if (bytes.size() < kBatchHeaderSize) {
    return fmt::format("a batch has at least {} bytes, this one {}", kBatchHeaderSize, bytes.size());
  }
  const BatchHeader header = ReadFields(bytes);
  if (header.magic != kMagic) return fmt::format("format v{} where v2 was expected", header.magic);
  if (int64_t{header.batch_length} + int64_t{kBatchLogOverhead} != static_cast<int64_t>(bytes.size())) {
    return fmt::format("its length field says {} bytes, there are {}",
                       int64_t{header.batch_length} + int64_t{kBatchLogOverhead}, bytes.size());
  }
  // Above this, next_offset() would overflow.
  constexpr int64_t kMaxBaseOffset = std::numeric_limits<int64_t>::max() - (int64_t{1} << 31);
  if (header.base_offset.value() > kMaxBaseOffset) {
    return fmt::format("base offset {} is beyond the last possible one", header.base_offset.value());
  }
  return {};
}

std::string CountFault(const BatchHeader& header, bool may_be_compacted) {
  const bool whole = int64_t{header.record_count} - 1 == header.last_offset_delta;
  const bool fewer = header.record_count <= header.last_offset_delta;
  if (header.record_count > 0 && (whole || (fewer && may_be_compacted))) return {};
  return fmt::format("{} records do not agree with a last offset delta of {}", header.record_count,
                     header.last_offset_delta);
}

absl::Status Corrupt(std::string_view message, Retry retry) {
  return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_batch", message,
                   "the bytes were damaged or cut off on their way", retry);
}

absl::Status Invalid(std::string_view message, std::string_view hint) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_record", message, hint);
}

/// An intact batch and more behind it. A retry would bring the same again, so it is not called corrupt.
bool StartsWithWholeBatch(std::string_view bytes) {
  if (bytes.size() < kBatchHeaderSize) return false;
  const int64_t size = int64_t{LoadBig<int32_t>(bytes.data() + kBatchLengthAt)} + int64_t{kBatchLogOverhead};
  if (size < int64_t{kBatchHeaderSize} || size >= static_cast<int64_t>(bytes.size())) return false;
  const std::string_view first = bytes.substr(0, static_cast<size_t>(size));
  return FrameFault(first).empty() && BatchCrcMatches(first);
}

/// The fields that a producer fills in, in a batch whose CRC says that they are as it sent them.
absl::Status CheckProducerFields(const BatchHeader& header) {
  constexpr std::string_view kClientHint =
      "the producer encoded the batch wrongly; update or replace the client";
  if (const std::string fault = CountFault(header, false); !fault.empty()) return Invalid(fault, kClientHint);
  if (header.control()) return Invalid("control batches are not taken from producers", kClientHint);
  if (header.transactional()) {
    return Invalid("transactions are not supported", "remove transactional.id from the producer's settings");
  }
  if (header.codec_bits() > static_cast<uint8_t>(Codec::kZstd)) {
    return Invalid(fmt::format("unknown compression codec {}", header.codec_bits()),
                   "use none, gzip, snappy, lz4 or zstd");
  }
  if (header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0)) {
    return Invalid(fmt::format("producer id {} with epoch {} and base sequence {}", header.producer_id,
                               header.producer_epoch, header.base_sequence),
                   kClientHint);
  }
  return absl::OkStatus();
}

/// Refusals that are not the network's doing and need no look at the batch's inside.
absl::Status CheckEnvelope(std::string_view bytes, size_t max_bytes) {
  if (bytes.empty()) return Invalid("no record batch", "send one batch for each partition");
  if (bytes.size() > kMagicAt && (bytes[kMagicAt] == 0 || bytes[kMagicAt] == 1)) {
    return MakeError(absl::StatusCode::kUnimplemented, "unsupported_format",
                     fmt::format("message format v{} is not supported", int{bytes[kMagicAt]}),
                     "use a client of Kafka 0.11 or newer, which sends record batches (format v2)");
  }
  if (bytes.size() > max_bytes) {
    return MakeError(absl::StatusCode::kInvalidArgument, "batch_too_large",
                     fmt::format("a batch of {} bytes, the limit is {}", bytes.size(), max_bytes),
                     "send smaller batches or raise the limit");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BatchHeader> ParseBatchHeader(std::string_view bytes) {
  if (const std::string fault = FrameFault(bytes); !fault.empty()) return Corrupt(fault, Retry::kNo);
  const BatchHeader header = ReadFields(bytes);
  if (const std::string fault = CountFault(header, true); !fault.empty()) return Corrupt(fault, Retry::kNo);
  return header;
}

absl::StatusOr<BatchHeader> ValidateProducedBatch(std::string_view bytes, size_t max_bytes) {
  SELVAGE_RETURN_IF_ERROR(CheckEnvelope(bytes, max_bytes));
  if (const std::string fault = FrameFault(bytes); !fault.empty()) {
    if (StartsWithWholeBatch(bytes)) {
      return Invalid("bytes follow the end of the batch", "send one batch for each partition and request");
    }
    return Corrupt(fault, Retry::kYes);
  }
  if (!BatchCrcMatches(bytes)) return Corrupt("the CRC does not match the bytes", Retry::kYes);

  const BatchHeader header = ReadFields(bytes);
  SELVAGE_RETURN_IF_ERROR(CheckProducerFields(header));
  if (header.codec_bits() == static_cast<uint8_t>(Codec::kNone)) {
    SELVAGE_RETURN_IF_ERROR(ForEachRecord(bytes.substr(kBatchHeaderSize), header.record_count,
                                          header.last_offset_delta, [](const RecordView&) {}));
  }
  return header;
}

bool BatchCrcMatches(std::string_view bytes) {
  return LoadBig<uint32_t>(bytes.data() + kCrcAt) == Crc32c(bytes.substr(kAttributesAt));
}

void StampBatch(char* batch, Offset base_offset, LeaderEpoch leader_epoch) {
  StoreBig<int64_t>(batch + kBaseOffsetAt, base_offset.value());
  StoreBig<int32_t>(batch + kLeaderEpochAt, leader_epoch.value());
}

}  // namespace selvage
