#include "fabric/stream/compactor.h"

#include <xxhash.h>

#include <algorithm>

#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_format.h"

namespace selvage {

using namespace record_format;

KeyOffsets::Hash KeyOffsets::HashOf(std::string_view key) {
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  return {hash.high64, hash.low64};
}

absl::Status KeyOffsets::Take(std::string_view batch) {
  return VisitRecords(batch, kDecodedBytesMax, [&](const BatchHeader& header, const RecordView& record) {
    if (record.key) newest_[HashOf(*record.key)] = header.base_offset + int64_t{record.offset_delta};
  });
}

bool KeyOffsets::Superseded(std::string_view key, Offset offset) const {
  const auto newest = newest_.find(HashOf(key));
  return newest != newest_.end() && newest->second > offset;
}

absl::StatusOr<CompactedBatch> CompactBatch(std::string_view batch, const KeyOffsets& newest,
                                            bool drop_tombstones) {
  CompactedBatch compacted;
  std::string kept;
  int32_t count = 0;
  int64_t max_timestamp = INT64_MIN;
  BatchHeader header;
  SELVAGE_RETURN_IF_ERROR(
      VisitRecords(batch, kDecodedBytesMax, [&](const BatchHeader& of, const RecordView& record) {
        header = of;
        const Offset offset = of.base_offset + int64_t{record.offset_delta};
        const bool goes =
            record.key && (newest.Superseded(*record.key, offset) || (drop_tombstones && !record.value));
        compacted.dropped += goes;
        if (goes) return;
        // Offset and time are relative to the batch's, which stay.
        kept.append(record.bytes);
        ++count;
        max_timestamp = std::max(max_timestamp, TimestampOf(of, record));
      }));
  if (compacted.dropped == 0 || count == 0) return compacted;
  std::string rewritten(batch.substr(0, kBatchHeaderSize));
  AppendCompressed(static_cast<Codec>(header.codec_bits()), kept, rewritten);
  StoreBig<int32_t>(rewritten.data() + kBatchLengthAt,
                    static_cast<int32_t>(rewritten.size() - kBatchLogOverhead));
  StoreBig<int64_t>(rewritten.data() + kMaxTimestampAt, max_timestamp);
  StoreBig<int32_t>(rewritten.data() + kRecordCountAt, count);
  StoreBig<uint32_t>(rewritten.data() + kCrcAt, Crc32c(std::string_view(rewritten).substr(kAttributesAt)));
  compacted.batch = std::move(rewritten);
  return compacted;
}

}  // namespace selvage
