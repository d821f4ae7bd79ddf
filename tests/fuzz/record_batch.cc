/// Record batches, as a producer or a peer may send them. The first byte says what is made of the rest: the
/// checks of length and CRC would otherwise let nothing through.
#include "fabric/stream/record_batch.h"

#include <algorithm>
#include <string>

#include "fabric/base/check.h"
#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/compactor.h"
#include "fabric/stream/record_format.h"
#include "tests/fuzz/input.h"

namespace selvage {
namespace {

using namespace record_format;

constexpr size_t kDecodedMax = 256 << 10;

/// With right length and CRC.
std::string Repaired(std::string batch) {
  if (batch.size() < kBatchHeaderSize) return batch;
  batch[kMagicAt] = kMagic;
  StoreBig<int32_t>(batch.data() + kBatchLengthAt, static_cast<int32_t>(batch.size() - kBatchLogOverhead));
  StoreBig<uint32_t>(batch.data() + kCrcAt, Crc32c(std::string_view(batch).substr(kAttributesAt)));
  return batch;
}

/// With its records compressed.
std::string Compressed(const std::string& batch, Codec codec) {
  if (batch.size() < kBatchHeaderSize) return batch;
  std::string out = batch.substr(0, kBatchHeaderSize);
  AppendCompressed(codec, std::string_view(batch).substr(kBatchHeaderSize), out);
  out[kAttributesAt + 1] = static_cast<char>((out[kAttributesAt + 1] & ~7) | static_cast<char>(codec));
  return out;
}

bool SameContent(const Record& a, const Record& b) {
  const auto same_header = [](const RecordHeader& x, const RecordHeader& y) {
    return x.key == y.key && x.value == y.value;
  };
  return a.timestamp == b.timestamp && a.key == b.key && a.value == b.value &&
         std::equal(a.headers.begin(), a.headers.end(), b.headers.begin(), b.headers.end(), same_header);
}

size_t BytesOf(const Record& record) {
  size_t bytes = record.key.value_or("").size() + record.value.value_or("").size();
  for (const RecordHeader& header : record.headers)
    bytes += header.key.size() + header.value.value_or("").size();
  return bytes;
}

/// Records that were read can be written, and read again.
void CheckRebuilt(const std::vector<Record>& records, Codec codec) {
  BatchBuilder builder(codec);
  for (const Record& record : records) builder.Add(record);
  const std::string batch = builder.Build();
  SELVAGE_CHECK(ValidateProducedBatch(batch, batch.size()).ok());
  const auto again = DecodeRecords(batch, 2 * kDecodedMax);
  SELVAGE_CHECK(again.ok() &&
                std::equal(again->begin(), again->end(), records.begin(), records.end(), SameContent));
}

/// Whatever the bytes are: an error of a known kind, or no more than was allowed.
void CheckDecompression(std::string_view bytes, Codec codec) {
  const auto decompressed = Decompress(codec, bytes, kDecodedMax);
  if (decompressed.ok()) {
    SELVAGE_CHECK(decompressed->view().size() <= kDecodedMax);
    std::string again;
    AppendCompressed(codec, decompressed->view(), again);
    const auto back = Decompress(codec, again, decompressed->view().size());
    SELVAGE_CHECK(back.ok() && back->view() == decompressed->view());
    return;
  }
  const std::string kind = ErrorKind(decompressed.status());
  SELVAGE_CHECK(kind == "batch_too_large" || kind == "invalid_record");
}

/// What is left of a batch can be read, and is where it was.
void CheckCompaction(const std::string& batch, const std::vector<Record>& records) {
  KeyOffsets newest(1000);
  SELVAGE_CHECK(newest.Take(batch).ok());
  const auto compacted = CompactBatch(batch, newest, /*drop_tombstones=*/records.size() % 2 == 0);
  SELVAGE_CHECK(compacted.ok());
  if (!compacted->batch) return;
  const auto left = DecodeRecords(*compacted->batch, 2 * kDecodedMax);
  SELVAGE_CHECK(left.ok() && left->size() + static_cast<size_t>(compacted->dropped) == records.size());
  SELVAGE_CHECK(ParseBatchHeader(*compacted->batch)->next_offset() == ParseBatchHeader(batch)->next_offset());
  for (const Record& record : *left) {
    const auto was = std::lower_bound(records.begin(), records.end(), record.offset,
                                      [](const Record& one, Offset offset) { return one.offset < offset; });
    SELVAGE_CHECK(was != records.end() && was->offset == record.offset && SameContent(*was, record));
  }
}

void CheckDecoding(const std::string& batch, const BatchHeader& header, Codec codec) {
  const auto records = DecodeRecords(batch, kDecodedMax);
  if (!records.ok()) {
    const std::string kind = ErrorKind(records.status());
    SELVAGE_CHECK(kind == "corrupt_batch" || kind == "batch_too_large" || kind == "invalid_record");
    return;
  }
  SELVAGE_CHECK(records->size() == static_cast<size_t>(header.record_count));
  size_t bytes = 0;
  for (size_t i = 0; i < records->size(); ++i) {
    const Offset offset = (*records)[i].offset;
    SELVAGE_CHECK(header.compacted() ? offset < header.next_offset()
                                     : offset == header.base_offset + static_cast<int64_t>(i));
    SELVAGE_CHECK(offset >= header.base_offset && (i == 0 || offset > (*records)[i - 1].offset));
    bytes += BytesOf((*records)[i]);
  }
  SELVAGE_CHECK(bytes <= kDecodedMax);
  CheckCompaction(batch, *records);
  CheckRebuilt(*records, Codec::kNone);
  CheckRebuilt(*records, codec);
}

/// Stamping changes base offset and leader epoch, and nothing else.
void CheckStamping(const std::string& batch) {
  std::string stamped = batch;
  StampBatch(stamped.data(), Offset(1234567890123), LeaderEpoch(42));
  const auto header = ParseBatchHeader(stamped);
  SELVAGE_CHECK(header.ok() && header->base_offset == Offset(1234567890123) &&
                header->leader_epoch == LeaderEpoch(42));
  SELVAGE_CHECK(BatchCrcMatches(stamped) == BatchCrcMatches(batch));
  SELVAGE_CHECK(stamped.compare(kMagicAt, std::string::npos, batch, kMagicAt, std::string::npos) == 0);
}

}  // namespace
}  // namespace selvage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage;
  fuzz::Input input(data, size);
  const uint8_t mode = input.Byte();
  std::string batch(input.Rest());
  const auto codec = static_cast<Codec>(4 - (mode >> 2) % 4);
  CheckDecompression(batch, codec);
  if ((mode & 2) != 0) batch = Compressed(batch, codec);
  if ((mode & 3) != 0) batch = Repaired(std::move(batch));

  const auto header = ParseBatchHeader(batch);
  const auto produced = ValidateProducedBatch(batch, batch.size());
  if (produced.ok()) {
    SELVAGE_CHECK(header.ok() && BatchCrcMatches(batch) && !header->compacted());
    SELVAGE_CHECK(batch.size() == 0 || !ValidateProducedBatch(batch, batch.size() - 1).ok());
    if (produced->codec_bits() == static_cast<uint8_t>(Codec::kNone)) {
      SELVAGE_CHECK(DecodeRecords(batch, batch.size()).ok());
    }
  }
  if (!header.ok()) {
    SELVAGE_CHECK(ErrorKind(header.status()) == "corrupt_batch");
    return 0;
  }
  SELVAGE_CHECK(header->total_size() == batch.size());
  const int64_t covered = header->next_offset() - header->base_offset;
  SELVAGE_CHECK(header->compacted() ? covered > header->record_count : covered == header->record_count);
  CheckStamping(batch);
  CheckDecoding(batch, *header, codec);
  return 0;
}
