#include "fabric/stream/log_flow.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"

namespace selvage {

using replication::SourceEntry;

namespace {

/// The rest of a gap from `from` on, or a gap that stands for what is not held any more.
SourceEntry GapEntry(const Gap& gap) {
  SourceEntry entry;
  entry.kind = EntryKind::kGap;
  entry.from = gap.from;
  entry.to = gap.to;
  entry.hash_after = gap.hash_after;
  entry.body = Bytes(EncodeGap(gap));
  return entry;
}

SourceEntry FromStored(const Entry& stored) {
  SourceEntry entry;
  entry.kind = stored.kind;
  entry.from = stored.from;
  entry.to = stored.to;
  entry.hash_after = stored.hash_after;
  entry.body = stored.body;
  if (stored.kind == EntryKind::kBatch) {
    entry.compressible = ParseBatchHeader(stored.body.view())->codec_bits() == static_cast<uint8_t>(Codec::kNone);
  }
  return entry;
}

}  // namespace

v1::FlowOpen LogFlowSource::Describe() {
  LogState state = log_.state();
  v1::FlowOpen open;
  open.set_kind(v1::STREAM);
  open.set_name(log_.origin().stream);
  open.set_partition(log_.origin().partition.value());
  open.set_log_id(state.id.bytes());
  open.set_start(state.start.value());
  open.set_end(state.end.value());
  open.set_base(state.base.value());
  open.set_base_hash(state.base_hash.value());
  *open.mutable_definition() = definition_;
  for (const auto& [epoch, start] : state.leader_epochs) {
    auto* entry = open.add_leader_epochs();
    entry->set_epoch(epoch.value());
    entry->set_start(start.value());
  }
  return open;
}

replication::FlowSettings LogFlowSource::settings() {
  const v1::StreamSettings& settings = definition_.settings();
  return {.priority = std::min<uint32_t>(settings.priority(), 9), .weight = std::max<uint32_t>(settings.weight(), 1),
          .compress = settings.link_compression() != v1::NONE};
}

absl::StatusOr<bool> LogFlowSource::Continues(const LogPosition& replica) {
  LogState state = log_.state();
  if (replica.log != state.id || replica.offset > state.end) return false;
  if (replica.offset < state.start) return true;  // what it lacks and we no longer hold becomes a gap
  SELVAGE_ASSIGN_OR_RETURN(LogPosition boundary, log_.BoundaryAtOrBefore(replica.offset));
  if (boundary.offset == replica.offset) return boundary.hash == replica.hash;
  // Inside of an entry: only a gap of ours may stand where the replica has boundaries.
  SELVAGE_ASSIGN_OR_RETURN(std::vector<Entry> entries, log_.Read(boundary.offset, 1));
  return !entries.empty() && entries.front().kind == EntryKind::kGap;
}

absl::StatusOr<std::vector<SourceEntry>> LogFlowSource::Read(Offset from, size_t max_bytes) {
  LogState state = log_.state();
  std::vector<SourceEntry> entries;
  if (from < state.start) {
    SELVAGE_ASSIGN_OR_RETURN(LogPosition start, log_.BoundaryAtOrBefore(state.start));
    entries.push_back(GapEntry({.from = from, .to = start.offset, .reason = GapReason::kReplicaRegressed,
                                .leader_epoch = state.leader_epoch(), .hash_after = start.hash,
                                .recorded_ms = state.append_ms}));
    return entries;
  }
  SELVAGE_ASSIGN_OR_RETURN(std::vector<Entry> stored, log_.Read(from, max_bytes));
  for (const Entry& entry : stored) {
    if (entry.from >= from) {
      entries.push_back(FromStored(entry));
      continue;
    }
    if (entry.kind != EntryKind::kGap) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "chain_mismatch",
                       fmt::format("{}: offset {} lies inside of a batch", ToString(log_.origin()), from.value()));
    }
    SELVAGE_ASSIGN_OR_RETURN(Gap rest, DecodeGap(entry.body.view()));
    rest.from = from;
    entries.push_back(GapEntry(rest));
  }
  return entries;
}

absl::StatusOr<LogPosition> LogFlowSource::BoundaryAtOrBefore(Offset offset) { return log_.BoundaryAtOrBefore(offset); }

void LogFlowSource::Acknowledged(const LogPosition& durable) { log_.SetAcknowledged(durable.offset); }

absl::Status LogFlowSink::Check(const replication::ReceivedEntry& entry) {
  if (entry.kind == EntryKind::kGap) return DecodeGap(entry.body).status();
  auto corrupt = [&](std::string_view why) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_batch",
                     fmt::format("{}: the batch at offset {} arrived damaged: {}", ToString(log_.origin()),
                                 entry.from.value(), why),
                     "it is sent again; if this repeats, the source's disk is failing", Retry::kYes);
  };
  auto header = ParseBatchHeader(entry.body);
  if (!header.ok()) return corrupt(std::string(header.status().message()));
  if (entry.body.size() > batch_max_) {
    return MakeError(absl::StatusCode::kInvalidArgument, "batch_too_large",
                     fmt::format("{}: a batch of {} bytes is above the limit of {}", ToString(log_.origin()),
                                 entry.body.size(), batch_max_),
                     "raise batch.max_bytes at the receiving end");
  }
  if (header->base_offset != entry.from || header->next_offset() != entry.to) return corrupt("other offsets than announced");
  if (!BatchCrcMatches(entry.body)) return corrupt("CRC");
  return absl::OkStatus();
}

std::optional<ChainHash> LogFlowSink::HashAt(Offset offset) {
  auto boundary = log_.BoundaryAtOrBefore(offset);
  if (!boundary.ok() || boundary->offset != offset) return std::nullopt;
  return boundary->hash;
}

}  // namespace selvage
