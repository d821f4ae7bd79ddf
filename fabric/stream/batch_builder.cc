#include <algorithm>
#include <bit>
#include <limits>

#include "fabric/base/check.h"
#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/stream/record_batch.h"
#include "fabric/stream/record_format.h"

namespace selvage {
namespace {

using namespace record_format;

constexpr size_t kMaxBatchSize = std::numeric_limits<int32_t>::max();

uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

size_t VarintSize(int64_t value) {
  return (static_cast<size_t>(std::bit_width(ZigZag(value) | 1)) + 6) / 7;
}

void AppendVarint(std::string& out, int64_t value) {
  uint64_t rest = ZigZag(value);
  for (; rest >= 0x80; rest >>= 7) out.push_back(static_cast<char>(rest | 0x80));
  out.push_back(static_cast<char>(rest));
}

size_t SizedBytes(std::string_view bytes) {
  return VarintSize(static_cast<int64_t>(bytes.size())) + bytes.size();
}
size_t SizedBytes(const std::optional<std::string>& bytes) {
  return bytes.has_value() ? SizedBytes(std::string_view(*bytes)) : VarintSize(-1);
}

void AppendBytes(std::string& out, std::string_view bytes) {
  AppendVarint(out, static_cast<int64_t>(bytes.size()));
  out.append(bytes);
}
void AppendBytes(std::string& out, const std::optional<std::string>& bytes) {
  if (bytes.has_value()) {
    AppendBytes(out, std::string_view(*bytes));
  } else {
    AppendVarint(out, -1);
  }
}

/// Bytes of a record after its length field.
size_t BodySize(const Record& record, int64_t timestamp_delta, int32_t offset_delta) {
  size_t size = 1 + VarintSize(timestamp_delta) + VarintSize(offset_delta) + SizedBytes(record.key) +
                SizedBytes(record.value) + VarintSize(static_cast<int64_t>(record.headers.size()));
  for (const RecordHeader& header : record.headers) {
    size += SizedBytes(std::string_view(header.key)) + SizedBytes(header.value);
  }
  return size;
}

/// Length and CRC are left to Seal.
void AppendHeader(const BatchHeader& header, std::string& batch) {
  AppendBig<int64_t>(batch, header.base_offset.value());
  AppendBig<int32_t>(batch, 0);  // batch length
  AppendBig<int32_t>(batch, header.leader_epoch.value());
  AppendBig<int8_t>(batch, kMagic);
  AppendBig<uint32_t>(batch, 0);  // CRC
  AppendBig<int16_t>(batch, header.attributes);
  AppendBig<int32_t>(batch, header.last_offset_delta);
  AppendBig<int64_t>(batch, header.base_timestamp);
  AppendBig<int64_t>(batch, header.max_timestamp);
  AppendBig<int64_t>(batch, header.producer_id);
  AppendBig<int16_t>(batch, header.producer_epoch);
  AppendBig<int32_t>(batch, header.base_sequence);
  AppendBig<int32_t>(batch, header.record_count);
}

void Seal(std::string& batch) {
  SELVAGE_CHECK(batch.size() <= kMaxBatchSize);
  StoreBig<int32_t>(batch.data() + kBatchLengthAt, static_cast<int32_t>(batch.size() - kBatchLogOverhead));
  StoreBig<uint32_t>(batch.data() + kCrcAt, Crc32c(std::string_view(batch).substr(kAttributesAt)));
}

}  // namespace

void BatchBuilder::Add(const Record& record) {
  if (empty()) base_timestamp_ = max_timestamp_ = record.timestamp;
  max_timestamp_ = std::max(max_timestamp_, record.timestamp);
  // Unsigned, since any two timestamps must have a difference; readers add it back the same way.
  const auto timestamp_delta =
      static_cast<int64_t>(static_cast<uint64_t>(record.timestamp) - static_cast<uint64_t>(base_timestamp_));

  const size_t body_size = BodySize(record, timestamp_delta, count_);
  SELVAGE_CHECK(body_size <= kMaxBatchSize && EstimatedSize() + body_size <= kMaxBatchSize);
  AppendVarint(records_, static_cast<int64_t>(body_size));
  records_.push_back(0);  // attributes
  AppendVarint(records_, timestamp_delta);
  AppendVarint(records_, count_);
  AppendBytes(records_, record.key);
  AppendBytes(records_, record.value);
  AppendVarint(records_, static_cast<int64_t>(record.headers.size()));
  for (const RecordHeader& header : record.headers) {
    AppendBytes(records_, std::string_view(header.key));
    AppendBytes(records_, header.value);
  }
  ++count_;
}

std::string BatchBuilder::Build() {
  SELVAGE_CHECK(!empty());
  std::string batch;
  batch.reserve(kBatchHeaderSize + records_.size());
  BatchHeader header;
  header.attributes = static_cast<int16_t>(codec_);
  header.last_offset_delta = count_ - 1;
  header.base_timestamp = base_timestamp_;
  header.max_timestamp = max_timestamp_;
  header.record_count = count_;
  AppendHeader(header, batch);
  AppendCompressed(codec_, records_, batch);
  Seal(batch);

  records_.clear();
  count_ = 0;
  return batch;
}

std::string EmptyBatch(Offset from, Offset to, LeaderEpoch leader_epoch) {
  SELVAGE_CHECK(from < to);
  constexpr int64_t kNoTimestamp = -1;
  BatchHeader header;
  header.base_offset = from;
  header.leader_epoch = leader_epoch;
  header.last_offset_delta =
      static_cast<int32_t>(std::min<int64_t>(to - from - 1, std::numeric_limits<int32_t>::max()));
  header.base_timestamp = header.max_timestamp = kNoTimestamp;
  std::string batch;
  AppendHeader(header, batch);
  Seal(batch);
  return batch;
}

}  // namespace selvage
