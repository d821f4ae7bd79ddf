#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/base/ids.h"
#include "fabric/stream/compression.h"

/// Kafka record batch, format v2 (KIP-98; "RecordBatch" in the Kafka protocol guide). The unit of everything:
/// the producer makes it, the source stamps base offset and leader epoch (both outside the CRC), and from
/// then on the bytes are opaque and identical on every copy. All integers are big-endian.
namespace selvage {

inline constexpr size_t kBatchHeaderSize = 61;  ///< bytes before the records
inline constexpr size_t kBatchLogOverhead =
    12;  ///< base offset and length: what `batch_length` does not count

/// The fixed fields, in the order of the format.
struct BatchHeader {
  Offset base_offset;
  int32_t batch_length = 0;  ///< bytes after this field
  LeaderEpoch leader_epoch;
  int8_t magic = 2;
  uint32_t crc = 0;  ///< CRC-32C of everything from `attributes` on
  int16_t attributes = 0;
  int32_t last_offset_delta = 0;  ///< of the last record; in a compacted batch that one may be gone
  int64_t base_timestamp = 0;     ///< milliseconds since 1970
  int64_t max_timestamp = 0;
  int64_t producer_id = -1;
  int16_t producer_epoch = -1;
  int32_t base_sequence = -1;
  int32_t record_count = 0;

  uint8_t codec_bits() const { return static_cast<uint8_t>(attributes & 7); }  ///< a Codec, if not above 4
  bool transactional() const { return (attributes & 0x10) != 0; }
  /// Records were taken out of it.
  bool compacted() const { return record_count <= last_offset_delta; }
  bool control() const { return (attributes & 0x20) != 0; }
  Offset next_offset() const { return base_offset + (static_cast<int64_t>(last_offset_delta) + 1); }
  size_t total_size() const { return static_cast<size_t>(batch_length) + kBatchLogOverhead; }
};

/// Reads the fixed fields and checks what every stored batch must satisfy: long enough, magic 2, length equal
/// to `bytes.size()`, 0 < count <= last offset delta + 1 (equal but for compacted batches). Does not read the
/// records and does not compute the CRC. Errors: "corrupt_batch" (kInvalidArgument).
absl::StatusOr<BatchHeader> ParseBatchHeader(std::string_view bytes);

/// All that a broker checks before it takes a batch from a producer, without decompressing: ParseBatchHeader,
/// the size limit, the CRC, no control or transactional batch, a known codec, base offset 0 not required (it
/// is overwritten), a base sequence when there is a producer id; records that are not compressed are walked
/// and must number record_count = last offset delta + 1 with consecutive offset deltas. Errors, by kind:
/// "batch_too_large", "corrupt_batch" (a retry helps: damaged on the way), "invalid_record",
/// "unsupported_format" (magic below 2).
absl::StatusOr<BatchHeader> ValidateProducedBatch(std::string_view bytes, size_t max_bytes);

/// True when the stored CRC matches the bytes. `bytes` passed ParseBatchHeader.
bool BatchCrcMatches(std::string_view bytes);

/// Writes base offset and leader epoch into a batch of at least kBatchHeaderSize bytes. The CRC stays right.
void StampBatch(char* batch, Offset base_offset, LeaderEpoch leader_epoch);

struct RecordHeader {
  std::string key;
  std::optional<std::string> value;
};
struct Record {
  Offset offset;  ///< ignored by the builder, which counts from 0
  int64_t timestamp = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<RecordHeader> headers;
};

/// Builds one batch from records, for producers (selvagectl, tests, gateways). Not thread-safe.
class BatchBuilder {
 public:
  explicit BatchBuilder(Codec codec = Codec::kNone) : codec_(codec) {}
  void Add(const Record& record);
  bool empty() const { return count_ == 0; }
  int32_t count() const { return count_; }
  /// Bytes the batch would have, before compression.
  size_t EstimatedSize() const { return kBatchHeaderSize + records_.size(); }
  /// The finished batch with base offset 0; the builder is empty again.
  std::string Build();

 private:
  Codec codec_;
  std::string records_;
  int32_t count_ = 0;
  int64_t base_timestamp_ = 0;
  int64_t max_timestamp_ = 0;
};

/// A batch without records in the place of offsets [from, to), from < to, or of as many of them as one batch
/// can have: what compaction in Kafka leaves where a whole batch was taken out, and clients go on behind.
/// Never stored.
std::string EmptyBatch(Offset from, Offset to, LeaderEpoch leader_epoch);

/// What the decompressed records of one batch may take, unless a caller says otherwise.
inline constexpr size_t kDecodedBytesMax = 64u << 20;

/// Decodes all records of a batch, of whatever codec. Errors: "corrupt_batch", "invalid_record", and
/// "batch_too_large" when the decompressed records take more than `max_bytes`; never more is allocated for
/// them.
absl::StatusOr<std::vector<Record>> DecodeRecords(std::string_view batch,
                                                  size_t max_bytes = kDecodedBytesMax);

struct RecordTime {
  Offset offset;
  int64_t timestamp = 0;
  friend bool operator==(const RecordTime&, const RecordTime&) = default;
};
/// The first record of `batch` from offset `from` on with a timestamp of at least `timestamp_ms`; nothing
/// when no record has, whatever the header announces. A batch that the broker stamped with its own time is
/// one instant. Errors: those of DecodeRecords.
absl::StatusOr<std::optional<RecordTime>> FirstRecordAtOrAfter(std::string_view batch, int64_t timestamp_ms,
                                                               Offset from,
                                                               size_t max_bytes = kDecodedBytesMax);

}  // namespace selvage
