#include "fabric/stream/log_flow.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"

namespace selvage {

using replication::FlowPosition;

namespace {

/// The rest of a gap from `from` on, or a gap that stands for what is not held any more.
FlowEntry GapEntry(const Gap& gap) {
  FlowEntry entry;
  entry.kind = EntryKind::kGap;
  entry.from = gap.from;
  entry.to = gap.to;
  entry.hash_after = gap.hash_after;
  entry.body = Bytes(EncodeGap(gap));
  return entry;
}

/// Beyond this many entries under way their sizes are not remembered, but looked up.
constexpr size_t kSentMax = 4096;

}  // namespace

FlowPosition ToFlowPosition(const LogPosition& position) {
  return {position.log.bytes(), position.offset, position.hash, {}};
}

LogPosition ToLogPosition(const FlowPosition& position) {
  return {LogId::FromBytes(position.history).value_or(LogId()), position.offset,
          position.hash.value_or(ChainHash())};
}

v1::LogPosition ToProto(const LogPosition& position) {
  v1::LogPosition proto;
  proto.set_log_id(position.log.bytes());
  proto.set_offset(position.offset.value());
  proto.set_hash(position.hash.value());
  return proto;
}

LogPosition FromProto(const v1::LogPosition& position) {
  return {LogId::FromBytes(position.log_id()).value_or(LogId()), Offset(position.offset()),
          ChainHash(position.hash())};
}

FlowEntry ToFlowEntry(const Entry& stored) {
  FlowEntry entry;
  entry.kind = stored.kind;
  entry.from = stored.from;
  entry.to = stored.to;
  entry.hash_after = stored.hash_after;
  entry.body = stored.body;
  if (stored.kind == EntryKind::kBatch) {
    entry.compressible =
        ParseBatchHeader(stored.body.view())->codec_bits() == static_cast<uint8_t>(Codec::kNone);
  }
  return entry;
}

absl::Status CheckReceived(const FlowEntry& entry, const LogOrigin& origin, size_t batch_max) {
  if (entry.kind == EntryKind::kGap) {
    SELVAGE_ASSIGN_OR_RETURN(const Gap gap, DecodeGap(entry.body.view()));
    if (gap.from == entry.from && gap.to == entry.to) return absl::OkStatus();
    return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_gap",
                     fmt::format("{}: the gap covers other offsets than announced", ToString(origin)));
  }
  if (entry.kind != EntryKind::kBatch) {
    return MakeError(absl::StatusCode::kUnimplemented, "unknown_encoding",
                     fmt::format("{}: an entry of kind {} cannot be stored here", ToString(origin),
                                 static_cast<uint32_t>(entry.kind)),
                     "the peer runs a newer version: upgrade this end");
  }
  auto corrupt = [&](std::string_view why) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_batch",
                     fmt::format("{}: the batch at offset {} arrived damaged: {}", ToString(origin),
                                 entry.from.value(), why),
                     "it is sent again; if this repeats, the source's disk is failing", Retry::kYes);
  };
  auto header = ParseBatchHeader(entry.body.view());
  if (!header.ok()) return corrupt(std::string(header.status().message()));
  if (entry.body.size() > batch_max) {
    return MakeError(absl::StatusCode::kInvalidArgument, "batch_too_large",
                     fmt::format("{}: a batch of {} bytes is above the limit of {}", ToString(origin),
                                 entry.body.size(), batch_max),
                     "raise batch.max_bytes at the receiving end");
  }
  if (header->base_offset != entry.from || header->next_offset() != entry.to || header->compacted())
    return corrupt("other offsets than announced");
  if (!BatchCrcMatches(entry.body.view())) return corrupt("CRC");
  return absl::OkStatus();
}

LogFlowSource::LogFlowSource(std::shared_ptr<Log> log, v1::StreamDefinition definition)
    : log_(std::move(log)), definition_(std::move(definition)) {
  offered_ = log_->state().id;
  acknowledged_log_bytes_ = LogBytesAt(log_->acknowledged().value_or(Offset(0)));
}

v1::StreamDefinition LogFlowSource::definition() const {
  absl::MutexLock lock(&mutex_);
  return definition_;
}

void LogFlowSource::set_definition(const v1::StreamDefinition& definition) {
  absl::MutexLock lock(&mutex_);
  definition_ = definition;
}

uint64_t LogFlowSource::lag_bytes() const {
  const LogState state = log_->state();
  const uint64_t from = std::max(acknowledged_log_bytes_.load(), state.bytes_before_start);
  return state.log_bytes - std::min(from, state.log_bytes);
}

uint64_t LogFlowSource::LogBytesAt(Offset offset) {
  const LogState state = log_->state();
  if (offset <= state.start) return state.bytes_before_start;
  if (offset >= state.end) return state.log_bytes;
  auto entries = log_->Read(offset, 1);
  if (!entries.ok() || entries->empty()) return state.bytes_before_start;
  const Entry& next = entries->front();
  return next.log_bytes - std::min<uint64_t>(next.body.size(), next.log_bytes);
}

v1::FlowOpen LogFlowSource::Describe() {
  sent_.clear();
  LogState state = log_->state();
  offered_ = state.id;
  v1::FlowOpen open;
  open.set_kind(v1::STREAM);
  open.set_history(state.id.bytes());
  open.set_start(state.start.value());
  open.set_end(state.end.value());
  v1::StreamFlow& stream = *open.mutable_stream();
  stream.set_name(log_->origin().stream);
  stream.set_partition(log_->origin().partition.value());
  stream.set_end_hash(state.hash.value());
  stream.set_base(state.base.value());
  stream.set_base_hash(state.base_hash.value());
  *stream.mutable_definition() = definition();
  for (const auto& [epoch, start] : state.leader_epochs) {
    auto* entry = stream.add_leader_epochs();
    entry->set_epoch(epoch.value());
    entry->set_start(start.value());
  }
  return open;
}

replication::FlowSettings LogFlowSource::settings() {
  absl::MutexLock lock(&mutex_);
  const v1::StreamSettings& settings = definition_.settings();
  return {.priority = std::min<uint32_t>(settings.priority(), 9),
          .weight = std::max<uint32_t>(settings.weight(), 1),
          .compress = settings.link_compression() != v1::NONE};
}

absl::StatusOr<bool> LogHistory::Continues(const FlowPosition& at) {
  const LogPosition replica = ToLogPosition(at);
  const LogState state = log_->state();
  if (replica.log != state.id || replica.offset > state.end) return false;
  if (replica.offset < state.start) return true;  // what it lacks and we no longer hold becomes a gap
  SELVAGE_ASSIGN_OR_RETURN(LogPosition boundary, log_->BoundaryAtOrBefore(replica.offset));
  if (boundary.offset == replica.offset)
    return boundary.hash == replica.hash || Planted(Canary::kSkipHashCheck);
  // Inside of an entry: only a gap of ours may stand where the replica has boundaries.
  SELVAGE_ASSIGN_OR_RETURN(std::vector<Entry> entries, log_->Read(boundary.offset, 1));
  return !entries.empty() && entries.front().kind == EntryKind::kGap;
}

absl::StatusOr<FlowEntry> LogFlowSource::GapBeforeStart(Offset from) {
  while (true) {
    const LogState state = log_->state();
    auto start = log_->BoundaryAtOrBefore(state.start);
    if (!start.ok() && log_->state().start > state.start) continue;  // trimmed meanwhile
    if (!start.ok()) return start.status();
    return GapEntry({.from = from,
                     .to = start->offset,
                     .reason = GapReason::kReplicaRegressed,
                     .leader_epoch = state.LeaderEpochBefore(start->offset),
                     .hash_after = start->hash,
                     .recorded_ms = state.append_ms});
  }
}

absl::StatusOr<FlowEntry> LogFlowSource::RestOfGap(const Entry& entry, Offset from) {
  if (entry.kind != EntryKind::kGap) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "chain_mismatch",
        fmt::format("{}: offset {} lies inside of a batch", ToString(log_->origin()), from.value()));
  }
  SELVAGE_ASSIGN_OR_RETURN(Gap rest, DecodeGap(entry.body.view()));
  rest.from = from;
  return GapEntry(rest);
}

absl::StatusOr<std::vector<FlowEntry>> LogFlowSource::Read(Offset from, size_t max_bytes) {
  if (log_->state().id != offered_) {
    return MakeError(
        absl::StatusCode::kAborted, "log_branched",
        fmt::format("{}: the log has got a new id since it was offered", ToString(log_->origin())),
        "it is offered again", Retry::kYes);
  }
  std::vector<FlowEntry> entries;
  auto stored = log_->Read(from, max_bytes);
  if (!stored.ok() && from < log_->state().start) {
    SELVAGE_ASSIGN_OR_RETURN(FlowEntry gap, GapBeforeStart(from));
    entries.push_back(std::move(gap));
    return entries;
  }
  if (!stored.ok()) return stored.status();
  for (const Entry& entry : *stored) {
    if (entry.from >= from) {
      entries.push_back(ToFlowEntry(entry));
    } else {
      SELVAGE_ASSIGN_OR_RETURN(FlowEntry rest, RestOfGap(entry, from));
      entries.push_back(std::move(rest));
    }
    if (sent_.size() < kSentMax) sent_.push_back({entry.to, entry.log_bytes, entry.body.size()});
  }
  return entries;
}

absl::StatusOr<FlowPosition> LogHistory::FirstBoundary() {
  return BoundaryAtOrBefore(log_->state().base);
}

absl::StatusOr<FlowPosition> LogHistory::BoundaryAtOrBefore(Offset offset) {
  while (true) {
    const Offset start = log_->state().start;
    auto boundary = log_->BoundaryAtOrBefore(std::max(offset, start));
    if (boundary.ok()) return ToFlowPosition(*boundary);
    if (log_->state().start == start) return boundary.status();  // else trimmed meanwhile
  }
}

void LogFlowSource::Acknowledged(const FlowPosition& durable) {
  log_->SetAcknowledged(durable.offset);
  std::optional<uint64_t> log_bytes;
  while (!sent_.empty() && sent_.front().to <= durable.offset) {
    if (sent_.front().to == durable.offset) log_bytes = sent_.front().log_bytes;
    acknowledged_bytes_ += sent_.front().body_bytes;
    sent_.pop_front();
  }
  acknowledged_log_bytes_ = log_bytes ? *log_bytes : LogBytesAt(durable.offset);
}

absl::Status LogFlowSink::Check(const FlowEntry& entry) {
  return CheckReceived(entry, log_->origin(), batch_max_);
}

void LogFlowSink::Persist(FlowEntry entry, Done done) {
  const absl::Status queued =
      log_->AppendReplica(std::move(entry), fence_, [done](const absl::StatusOr<LogPosition>& after) {
        done(after.ok() ? absl::StatusOr<FlowPosition>(ToFlowPosition(*after)) : after.status());
      });
  if (!queued.ok()) done(queued);
}

replication::Located LogHistory::Locate(Offset offset) {
  const LogState state = log_->state();
  replication::Located at{.hash = {}, .previous = offset, .next = offset};
  auto boundary = log_->BoundaryAtOrBefore(offset);
  if (boundary.ok() && boundary->offset == offset) {
    at.hash = boundary->hash;
  } else if (offset < state.start) {
    at.next = state.start;
  } else if (offset > state.end) {
    at.previous = state.end;
  } else if (boundary.ok()) {
    at.previous = boundary->offset;
    // Not by reading: what is damaged here is still between boundaries that are known.
    auto entry = log_->Search([&](const Entry& e) { return e.to > offset; });
    if (entry.ok() && *entry) {
      at.next = (*entry)->to;
      at.in_batch = (*entry)->kind == EntryKind::kBatch;
    }
  }
  return at;
}

}  // namespace selvage
