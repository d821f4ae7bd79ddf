#include "fabric/stream/log_format.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "fabric/base/check.h"
#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"

namespace selvage {
namespace {

constexpr uint8_t kFormat = 1;
constexpr uint8_t kCompactedBatch = 3;  // beside the numbers of EntryKind

absl::Status CorruptEntry(Offset from, std::string_view why) {
  return MakeError(absl::StatusCode::kDataLoss, "corrupt_entry",
                   fmt::format("the stored entry at offset {} is damaged: {}", from.value(), why));
}

uint32_t HeaderChecksum(std::string_view header, std::string_view covered_body) {
  std::string covered(header.substr(0, 4));
  covered.append(header.substr(8));
  covered.append(covered_body);
  return Crc32c(covered);
}

/// What the header's checksum covers beside the header: what nothing else vouches for.
std::string_view CoveredBody(const Entry& entry) {
  if (entry.kind == EntryKind::kGap) return entry.body.view();
  return entry.compacted ? entry.body.view().substr(0, kBatchHeaderSize) : std::string_view();
}

absl::Status DecodeBody(Offset from, Entry& entry) {
  if (entry.kind == EntryKind::kGap) {
    auto gap = DecodeGap(entry.body.view());
    if (!gap.ok()) return CorruptEntry(from, "not a gap");
    if (gap->from != from || gap->hash_after != entry.hash_after)
      return CorruptEntry(from, "gap and key disagree");
    entry.to = gap->to;
    return absl::OkStatus();
  }
  auto header = ParseBatchHeader(entry.body.view());
  if (!header.ok()) return CorruptEntry(from, "not a record batch");
  if (header->base_offset != from) return CorruptEntry(from, "batch and key disagree");
  if (header->compacted() && !entry.compacted) return CorruptEntry(from, "records are missing");
  if (!entry.compacted && ChainBatch(entry.hash_before, entry.body.view()) != entry.hash_after) {
    return CorruptEntry(from, "the batch header does not match the chain hash");
  }
  entry.to = header->next_offset();
  return absl::OkStatus();
}

}  // namespace

std::string_view GapReasonName(GapReason reason) {
  switch (reason) {
    case GapReason::kDroppedForSpace:
      return "dropped_for_space";
    case GapReason::kExpired:
      return "expired";
    case GapReason::kCorrupt:
      return "corrupt";
    case GapReason::kLostWithDisk:
      return "lost_with_disk";
    case GapReason::kReplicaRegressed:
      return "replica_regressed";
    case GapReason::kCompacted:
      return "compacted";
  }
  return "unknown";
}

std::string EncodeGap(const Gap& gap) {
  std::string body;
  body.reserve(kGapSize);
  AppendBig<int64_t>(body, gap.from.value());
  AppendBig<int64_t>(body, gap.to.value());
  AppendBig<uint64_t>(body, gap.hash_after.value());
  AppendBig<int32_t>(body, gap.leader_epoch.value());
  AppendBig<uint8_t>(body, static_cast<uint8_t>(gap.reason));
  AppendBig<int64_t>(body, gap.recorded_ms);
  return body;
}

absl::StatusOr<Gap> DecodeGap(std::string_view body) {
  auto corrupt = [](std::string_view why) {
    return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_gap",
                     fmt::format("not a gap entry: {}", why));
  };
  if (body.size() != kGapSize) return corrupt("wrong size");
  Gap gap;
  gap.from = Offset(LoadBig<int64_t>(body.data()));
  gap.to = Offset(LoadBig<int64_t>(body.data() + 8));
  gap.hash_after = ChainHash(LoadBig<uint64_t>(body.data() + 16));
  gap.leader_epoch = LeaderEpoch(LoadBig<int32_t>(body.data() + 24));
  auto reason = LoadBig<uint8_t>(body.data() + 28);
  gap.recorded_ms = LoadBig<int64_t>(body.data() + 29);
  if (reason < 1 || reason > 6) return corrupt("unknown reason");
  gap.reason = static_cast<GapReason>(reason);
  if (gap.from.value() < 0 || gap.to <= gap.from) return corrupt("empty range");
  return gap;
}

std::string LogKey(LogNumber log, Offset offset) {
  std::string key;
  key.reserve(kLogKeySize);
  AppendBig<uint32_t>(key, log.value());
  AppendBig<uint64_t>(key, static_cast<uint64_t>(offset.value()));
  return key;
}

Offset OffsetOfLogKey(std::string_view key) {
  SELVAGE_CHECK(key.size() == kLogKeySize);
  return Offset(static_cast<int64_t>(LoadBig<uint64_t>(key.data() + 4)));
}

std::string EncodeEntryHeader(const Entry& entry) {
  std::string header;
  header.reserve(kEntryHeaderSize);
  AppendBig<uint8_t>(header, kFormat);
  AppendBig<uint8_t>(header, entry.compacted ? kCompactedBatch : static_cast<uint8_t>(entry.kind));
  AppendBig<uint16_t>(header, 0);  // key id: not encrypted
  AppendBig<uint32_t>(header, 0);  // checksum, below
  AppendBig<int64_t>(header, entry.append_ms);
  AppendBig<int64_t>(header, entry.max_timestamp);
  AppendBig<uint64_t>(header, entry.log_bytes);
  AppendBig<uint64_t>(header, entry.hash_before.value());
  AppendBig<uint64_t>(header, entry.hash_after.value());
  SELVAGE_CHECK(header.size() == kEntryHeaderSize);
  StoreBig<uint32_t>(header.data() + 4, HeaderChecksum(header, CoveredBody(entry)));
  return header;
}

absl::StatusOr<Entry> DecodeEntry(Offset from, const Bytes& value) {
  std::string_view bytes = value.view();
  if (bytes.size() < kEntryHeaderSize) return CorruptEntry(from, "too short");
  std::string_view header = bytes.substr(0, kEntryHeaderSize);
  if (LoadBig<uint8_t>(header.data()) != kFormat) return CorruptEntry(from, "unknown entry format");
  auto kind = LoadBig<uint8_t>(header.data() + 1);
  if (kind < 1 || kind > 3) return CorruptEntry(from, "unknown entry kind");
  if (LoadBig<uint16_t>(header.data() + 2) != 0) return CorruptEntry(from, "encrypted with an unknown key");

  Entry entry;
  entry.compacted = kind == kCompactedBatch;
  entry.kind = entry.compacted ? EntryKind::kBatch : static_cast<EntryKind>(kind);
  entry.from = from;
  entry.body = value.Slice(kEntryHeaderSize);
  if (LoadBig<uint32_t>(header.data() + 4) != HeaderChecksum(header, CoveredBody(entry))) {
    return CorruptEntry(from, "checksum of the entry header");
  }
  entry.append_ms = LoadBig<int64_t>(header.data() + 8);
  entry.max_timestamp = LoadBig<int64_t>(header.data() + 16);
  entry.log_bytes = LoadBig<uint64_t>(header.data() + 24);
  entry.hash_before = ChainHash(LoadBig<uint64_t>(header.data() + 32));
  entry.hash_after = ChainHash(LoadBig<uint64_t>(header.data() + 40));
  SELVAGE_RETURN_IF_ERROR(DecodeBody(from, entry));
  return entry;
}

LeaderEpoch LeaderEpochOf(const Entry& entry) {
  if (entry.kind == EntryKind::kGap) return DecodeGap(entry.body.view())->leader_epoch;
  return ParseBatchHeader(entry.body.view())->leader_epoch;
}

ChainHash ChainBatch(ChainHash before, std::string_view batch_header) {
  SELVAGE_CHECK(batch_header.size() >= kBatchHeaderSize);
  char buffer[8 + kBatchHeaderSize];
  StoreBig<uint64_t>(buffer, before.value());
  batch_header.copy(buffer + 8, kBatchHeaderSize);
  return ChainHash(XXH3_64bits(buffer, sizeof buffer));
}

ChainHash ChainGap(ChainHash before, const Gap& gap) {
  Gap hashed = gap;
  hashed.hash_after = before;
  std::string body = EncodeGap(hashed);
  return ChainHash(XXH3_64bits(body.data(), body.size()));
}

}  // namespace selvage
