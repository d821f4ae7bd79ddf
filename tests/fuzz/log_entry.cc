/// Entries and gaps, as damaged storage or a peer may hand them over. The first byte chooses between
/// arbitrary bytes and an entry whose checksums are right.
#include <string>

#include "fabric/base/check.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/log_format.h"
#include "fabric/stream/record_batch.h"
#include "tests/fuzz/input.h"

namespace selvage {
namespace {

void CheckGap(std::string_view body) {
  const auto gap = DecodeGap(body);
  if (!gap.ok()) {
    SELVAGE_CHECK(ErrorKind(gap.status()) == "corrupt_gap");
    return;
  }
  SELVAGE_CHECK(gap->from < gap->to && gap->from.value() >= 0);
  SELVAGE_CHECK(GapReasonName(gap->reason) != "unknown");
  SELVAGE_CHECK(EncodeGap(*gap) == body);
}

/// What can be decoded is consistent and encodes back to the same bytes.
void CheckEntry(Offset from, const std::string& value) {
  const auto entry = DecodeEntry(from, Bytes(value));
  if (!entry.ok()) {
    SELVAGE_CHECK(ErrorKind(entry.status()) == "corrupt_entry");
    return;
  }
  SELVAGE_CHECK(entry->from == from && entry->from < entry->to);
  SELVAGE_CHECK(EncodeEntryHeader(*entry) + std::string(entry->body.view()) == value);
  LeaderEpochOf(*entry);
  const std::string key = LogKey(LogNumber(7), from);
  SELVAGE_CHECK(OffsetOfLogKey(key) == from);
}

/// As it would be stored. The body may still be neither a batch nor a gap.
Entry MadeUp(fuzz::Input& input) {
  Entry entry;
  entry.kind = input.Bit() ? EntryKind::kBatch : EntryKind::kGap;
  entry.append_ms = input.Number<int64_t>();
  entry.max_timestamp = input.Number<int64_t>();
  entry.log_bytes = input.Number<uint64_t>();
  entry.hash_before = ChainHash(input.Number<uint64_t>());
  entry.body = Bytes(std::string(input.Rest()));
  const std::string_view body = entry.body.view();
  if (body.size() >= 8) entry.from = Offset(LoadBig<int64_t>(body.data()));
  if (entry.kind == EntryKind::kBatch && body.size() >= kBatchHeaderSize) {
    entry.hash_after = ChainBatch(entry.hash_before, body);
  } else if (entry.kind == EntryKind::kGap && body.size() >= 24) {
    entry.hash_after = ChainHash(LoadBig<uint64_t>(body.data() + 16));
  }
  return entry;
}

/// A stored entry can be read if its body can, and any bit of it that flips is noticed, but for the records,
/// which have a CRC of their own.
void CheckStored(const Entry& entry, size_t flip) {
  std::string value = EncodeEntryHeader(entry) + std::string(entry.body.view());
  const bool gap = entry.kind == EntryKind::kGap;
  const auto batch = ParseBatchHeader(entry.body.view());
  // Only an entry that says that it was compacted lacks records.
  const bool readable = gap ? DecodeGap(entry.body.view()).ok() : batch.ok() && !batch->compacted();
  SELVAGE_CHECK(DecodeEntry(entry.from, Bytes(value)).ok() == readable);
  if (!readable) return;
  CheckEntry(entry.from, value);
  flip %= 8 * (kEntryHeaderSize + (gap ? kGapSize : kBatchHeaderSize));
  value[flip / 8] = static_cast<char>(value[flip / 8] ^ (1 << flip % 8));
  SELVAGE_CHECK(!DecodeEntry(entry.from, Bytes(value)).ok());
}

}  // namespace
}  // namespace selvage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage;
  fuzz::Input input(data, size);
  switch (input.Below(3)) {
    case 0:
      CheckGap(input.Rest());
      break;
    case 1: {
      const Offset from(input.Number<int64_t>());
      CheckEntry(from, std::string(input.Rest()));
      break;
    }
    default: {
      const size_t flip = input.Number<uint16_t>();
      CheckStored(MadeUp(input), flip);
    }
  }
  return 0;
}
