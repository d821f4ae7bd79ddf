#include "fabric/stream/staged_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/time/time.h"
#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/stream/record_batch.h"

namespace selvage {
namespace {

void PutEntry(WriteBatch& batch, LogNumber log, const Entry& entry) {
  batch.Put(Family::kLog, LogKey(log, entry.from), {EncodeEntryHeader(entry), entry.body.view()});
  if (entry.kind == EntryKind::kGap) {
    batch.Put(Family::kMeta, GapIndexKey(log, entry.from), {entry.body.view()});
  }
}

/// Of [from, to), both boundaries.
void DeleteEntries(WriteBatch& batch, LogNumber log, Offset from, Offset to) {
  batch.DeleteRange(Family::kLog, LogKey(log, from), LogKey(log, to));
  batch.DeleteRange(Family::kMeta, GapIndexKey(log, from), GapIndexKey(log, to));
}

}  // namespace

absl::Status StagedLog::CheckFence(const Fence& fence) const {
  if (env_.fences.Allows(fence) || Planted(Canary::kSkipEpochCheck)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "stale_session",
                   fmt::format("{}: the link session {} of {} was superseded", ToString(origin()),
                               fence.epoch.value(), fence.peer));
}

absl::Status StagedLog::CheckAdoptable() const {
  SELVAGE_RETURN_IF_ERROR(held());
  if (state_.log_bytes == 0 && state_.end == state_.base) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "not_empty",
      fmt::format("{}: the log holds data of its own and cannot go on as another", ToString(origin())),
      "start the edge with an empty data directory, or let it join as a new store");
}

Entry StagedLog::GapFromEnd(Offset to, GapReason reason) const {
  Entry entry;
  entry.kind = EntryKind::kGap;
  entry.from = state_.end;
  entry.to = to;
  entry.hash_before = state_.hash;
  Gap gap{.from = entry.from,
          .to = entry.to,
          .reason = reason,
          .leader_epoch = state_.leader_epoch(),
          .hash_after = {},
          .recorded_ms = absl::ToUnixMillis(env_.clock.Wall())};
  gap.hash_after = entry.hash_after = ChainGap(entry.hash_before, gap);
  entry.max_timestamp = -1;
  entry.body = Bytes(EncodeGap(gap));
  return entry;
}

Entry StagedLog::SourceEntry(std::string batch) const {
  Entry entry;
  entry.kind = EntryKind::kBatch;
  entry.from = state_.end;
  entry.hash_before = state_.hash;
  StampBatch(batch.data(), entry.from, state_.leader_epoch());
  const BatchHeader header = *ParseBatchHeader(batch);
  entry.to = header.next_offset();
  entry.max_timestamp = header.max_timestamp;
  entry.hash_after = ChainBatch(entry.hash_before, batch);
  entry.body = Bytes(std::move(batch));
  return entry;
}

void StagedLog::StageEntry(WriteBatch& batch, Entry& entry) {
  entry.append_ms = std::max(state_.append_ms, env_.ages.NowMs());
  entry.max_timestamp = std::max(state_.max_timestamp, entry.max_timestamp);
  entry.log_bytes = state_.log_bytes + entry.body.size();
  PutEntry(batch, number(), entry);
  state_.end = entry.to;
  state_.hash = entry.hash_after;
  state_.append_ms = entry.append_ms;
  state_.max_timestamp = entry.max_timestamp;
  state_.log_bytes = entry.log_bytes;
  // A replica learns of a succession from the first entry that carries the new epoch.
  const LeaderEpoch epoch = LeaderEpochOf(entry);
  if (state_.leader_epochs.empty() || epoch > state_.leader_epoch()) {
    state_.BeginLeaderEpoch(epoch, entry.from);
    StageDocument(batch);
  }
}

void StagedLog::StageTrim(WriteBatch& batch, const Entry& last_dropped, const std::optional<Entry>& gap) {
  DeleteEntries(batch, number(), state_.start, last_dropped.to);
  if (gap) PutEntry(batch, number(), *gap);
  state_.bytes_before_start = last_dropped.log_bytes;
  state_.start = gap ? gap->from : last_dropped.to;
  state_.start_hash = gap ? gap->hash_before : last_dropped.hash_after;
  published_.set_start_to_be(state_.start);
  damaged_.Forget(Offset(0), last_dropped.to);
  StageDocument(batch);
}

absl::Status StagedLog::StageRepair(WriteBatch& batch, std::vector<Entry>& entries) {
  SELVAGE_RETURN_IF_ERROR(damaged_.Fill(entries));
  // One deletion for the whole range: where a block of a table is damaged, it is what seeks step across it
  // by.
  DeleteEntries(batch, number(), entries.front().from, entries.back().to);
  for (const Entry& entry : entries) PutEntry(batch, number(), entry);
  return absl::OkStatus();
}

void StagedLog::StageChange(WriteBatch& batch, const std::function<void(LogState&)>& change) {
  change(state_);
  StageDocument(batch);
}

void StagedLog::StageCompaction(WriteBatch& batch, const CompactionState& compaction) {
  published_.set_compaction(compaction);
  StageDocument(batch);
}

void StagedLog::StageLossAccepted(WriteBatch& batch, std::optional<Offset> lost_to) {
  // What lies behind the end is damaged or was never synced: it must not surface under offsets given anew.
  batch.DeleteRange(Family::kLog, LogKey(number(), state_.end), LogKey(number() + 1, Offset(0)));
  batch.DeleteRange(Family::kMeta, GapIndexKey(number(), state_.end), GapIndexKey(number() + 1, Offset(0)));
  // What they wrote last may be what was lost.
  producers_.ForgetAll(batch);
  published_.set_compaction({});
  if (!lost_to) {
    state_.ForgetLeaderEpochsBehind(state_.end);
  } else {
    state_.BeginLeaderEpoch(state_.leader_epoch() + 1, state_.end);
    if (*lost_to > state_.end) {
      Entry gap = GapFromEnd(*lost_to, GapReason::kLostWithDisk);
      StageEntry(batch, gap);
    }
  }
  StageDocument(batch);
}

void StagedLog::StageBranch(WriteBatch& batch, LogId id, const LogPosition& from) {
  state_.id = id;
  state_.base = from.offset;
  state_.base_hash = from.hash;
  published_.SetAcknowledged(from.offset);
  StageDocument(batch);
}

void StagedLog::StageAdopt(WriteBatch& batch, const LogPosition& at, LeaderEpoch epoch) {
  state_.id = at.log;
  state_.base = state_.start = state_.end = at.offset;
  state_.deleted_to = Offset(0);
  state_.base_hash = state_.start_hash = state_.hash = at.hash;
  state_.leader_epochs = {{epoch, at.offset}};
  published_.set_start_to_be(at.offset);
  producers_.ForgetAll(batch);
  StageDocument(batch);
}

void StagedLog::StageSuperseded(WriteBatch& batch, bool superseded) {
  published_.set_superseded(superseded);
  StageDocument(batch);
}

void StagedLog::StageAcknowledged(WriteBatch& batch) {
  if (AcknowledgedChanged()) StageDocument(batch);
}

v1::StoredLog StagedLog::Document() {
  v1::StoredLog document;
  document.set_number(number().value());
  document.set_log_id(state_.id.bytes());
  document.set_edge(origin().edge);
  document.set_slot(origin().slot.value());
  document.set_stream(origin().stream);
  document.set_partition(origin().partition.value());
  document.set_base(state_.base.value());
  document.set_base_hash(state_.base_hash.value());
  document.set_start(state_.start.value());
  document.set_start_hash(state_.start_hash.value());
  document.set_deleted_to(state_.deleted_to.value());
  document.set_bytes_before_start(state_.bytes_before_start);
  document.set_end(state_.end.value());
  document.set_end_hash(state_.hash.value());
  document.set_bytes_at_end(state_.log_bytes);
  document.set_max_timestamp(state_.max_timestamp);
  document.set_append_ms(state_.append_ms);
  for (const auto& [epoch, start] : state_.leader_epochs) {
    auto* stored = document.add_leader_epochs();
    stored->set_epoch(epoch.value());
    stored->set_start(start.value());
  }
  published_.Describe(document);
  return document;
}

void StagedLog::StageDocument(WriteBatch& batch) {
  batch.Put(Family::kMeta, LogDocumentKey(number()), {Document().SerializeAsString()});
}

void StagedLog::PublishToWatchers(const LogState& state) {
  published_.Publish(state);
  published_.NotifyWatchers();
}

void StagedLog::PublishEntry(const Entry& entry, const LogState& state) {
  // The cache first: who sees the new end finds the entry there.
  env_.cache.Insert(number(), entry);
  PublishToWatchers(state);
}

void StagedLog::Release(const LogState& state) {
  published_.Release(state);
  published_.NotifyWatchers();
}

void StagedLog::PublishRepaired() {
  ForgetCached();
  published_.NoteChanged();
}

}  // namespace selvage
