#include "fabric/table/row_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/table/restamp.h"
#include "fabric/table/row_format.h"

namespace selvage::table {
namespace {

/// A batch of captured changes closes when it is this large; a larger record has one of its own.
constexpr size_t kCaptureBatchBytes = 512u << 10;

std::optional<int64_t> TimeOf(const std::optional<Expiry>& expiry) {
  return expiry ? expiry->at_ms : std::nullopt;
}

/// A changed expiry travels with the whole row, since where the one before it has passed the rest is gone
/// already. Whoever sent the change has the row.
void Renew(Row& row, const Arrival& arrival) {
  const auto renew = [&](Write& write) {
    write.sequence = arrival.sequence;
    if (write.via != arrival.via) write.via = StoreId();
  };
  if (row.clear) renew(row.clear->write);
  if (row.expiry) renew(row.expiry->write);
  for (auto& [name, field] : row.fields) {
    if (field.set) renew(field.set->write);
    for (auto& [by, contribution] : field.contributions) renew(contribution.write);
  }
}

Stamp NewestStamp(const Row& row) {
  Stamp newest;
  ForEachWrite(row, [&](const Write& write) { newest = std::max(newest, write.stamp); });
  return newest;
}

std::string Cut(std::string_view text) {
  return std::string(CutUtf8(text, kConflictTextMax));
}

v1::StoredConflict Stored(std::string_view key, const Conflict& conflict) {
  v1::StoredConflict stored;
  stored.set_key(std::string(key));
  stored.set_kind(std::string(ConflictKindName(conflict.kind)));
  stored.set_field(Cut(conflict.field));
  stored.set_winner_time(conflict.winner.hlc.packed());
  stored.set_winner_store(conflict.winner.node.bytes());
  if (conflict.winning_value) stored.set_winning_value(Cut(conflict.winning_value->text()));
  stored.set_loser_time(conflict.loser.hlc.packed());
  stored.set_loser_store(conflict.loser.node.bytes());
  if (conflict.losing_value) stored.set_losing_value(Cut(conflict.losing_value->text()));
  return stored;
}

}  // namespace

absl::Status RowTask::Stage(WriteBatch& batch) {
  if (table_->dropped) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_table", "the table was dropped meanwhile");
  }
  now_ms_ = store_.now_ms();
  sequence_ = store_.next_sequence_;
  {
    absl::MutexLock lock(&store_.mutex_);
    definition_ = table_->definition;
    for (const auto& [node, reader] : table_->readers) sent_ = std::max(sent_, reader.sent);
  }
  SELVAGE_RETURN_IF_ERROR(Change());
  for (auto& [key, working] : working_) {
    if (!working.changed) continue;
    if (table_->capture_log != nullptr) CaptureChange(key, working.entry->row, working.row);
    working.entry->row = std::move(working.row);
    store_.overlay_.MarkDirty(*working.entry);
    if (!working.taken_over) continue;
    working.entry->damaged.reset();
    taken_over_.push_back(key);
  }
  StageConflicts(batch);
  StageCaptured(batch);
  StageBeside(batch);
  store_.next_sequence_ = sequence_;
  return absl::OkStatus();
}

absl::Status RowTask::CheckFence(const Fence& fence) const {
  if (store_.env_.fences.Allows(fence) || Planted(Canary::kSkipTableFence)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "stale_session",
                   fmt::format("the link session {} of {} was superseded", fence.epoch.value(), fence.peer));
}

void RowTask::StageConflicts(WriteBatch& batch) {
  const auto key = [&](uint64_t number) { return FeedKey(FeedIndex::kConflict, table_->number, number); };
  for (const v1::StoredConflict& conflict : conflicts_) {
    const uint64_t number = table_->next_conflict++;
    batch.Put(Family::kFeed, key(number), {conflict.SerializeAsString()});
    if (number >= TableStore::kConflictsKept)
      batch.Delete(Family::kFeed, key(number - TableStore::kConflictsKept));
  }
}

void RowTask::Finish(const absl::Status& status) {
  if (status.ok()) {
    charge_.Written();
    for (const std::string& key : taken_over_) store_.ForgetDamaged(*table_, key);
    store_.Publish();
    if (appender_) appender_->Publish();
  }
  Done(status);
}

void RowTask::CaptureChange(std::string_view key, const Row& before, const Row& after) {
  const int64_t told_ms = table_->capture_ms;
  CapturedChange change{.key = std::string(key),
                        .before = VisibleJson(before, told_ms),
                        .after = VisibleJson(after, told_ms),
                        .reason = ReasonOf(key),
                        .stamp = NewestStamp(after)};
  table_->expiring.erase(change.key);
  const auto expires_ms = TimeOf(after.expiry);
  const int64_t scanned_ms = std::max<int64_t>(now_ms_, table_->capture_scanned_ms);
  if (expires_ms && *expires_ms > told_ms && *expires_ms <= scanned_ms) {
    table_->expiring.emplace(change.key, *expires_ms);
  }
  if (change.before != change.after) captured_.push_back(std::move(change));
}

void RowTask::CaptureExpired(const std::set<std::string>& keys, int64_t to_ms) {
  const int64_t told_ms = table_->capture_ms;
  for (const auto& [key, expires_ms] : table_->expiring) {
    if (!keys.contains(key)) to_ms = std::min(to_ms, expires_ms - 1);
  }
  if (table_->capture_log == nullptr || to_ms <= told_ms) return;
  for (const std::string& key : keys) {
    if (IsDamaged(key)) continue;
    const Row& row = Current(key);
    CapturedChange change{.key = key,
                          .before = VisibleJson(row, told_ms),
                          .after = VisibleJson(row, to_ms),
                          .reason = CaptureReason::kExpiry,
                          .stamp = NewestStamp(row)};
    if (change.before != change.after) captured_.push_back(std::move(change));
  }
  captured_to_ms_ = to_ms;
}

void RowTask::StageCaptured(WriteBatch& batch) {
  if (captured_to_ms_) {
    table_->capture_ms = *captured_to_ms_;
    std::erase_if(table_->expiring, [&](const auto& row) { return row.second <= *captured_to_ms_; });
    absl::MutexLock lock(&store_.mutex_);
    if (!Planted(Canary::kForgetCaptureTime)) store_.StageDefinition(batch, *table_);
  }
  if (captured_.empty() || table_->capture_log == nullptr) return;
  if (!Planted(Canary::kCaptureBeside)) return StageRecords(batch);
  const auto beside = store_.env_.store.NewBatch();
  StageRecords(*beside);
  (void)store_.env_.store.Write(*beside, /*sync=*/true);
}

void RowTask::StageRecords(WriteBatch& batch) {
  appender_.emplace(table_->capture_log);
  BatchBuilder records;
  const auto append = [&] {
    if (records.empty() || table_->capture_log == nullptr) return;
    const absl::Status staged = appender_->Stage(batch, records.Build());
    if (!staged.ok()) store_.StopCapture(batch, *table_, staged);
  };
  for (const CapturedChange& change : captured_) {
    records.Add(RecordOf(change, now_ms_));
    if (records.EstimatedSize() >= kCaptureBatchBytes) append();
  }
  append();
}

RowTask::Working& RowTask::WorkingOf(std::string_view key) {
  const auto found = working_.find(key);
  if (found != working_.end()) return found->second;
  const auto held = held_.entries().find(key);
  SELVAGE_CHECK(held != held_.entries().end());
  Working& working = working_[std::string(key)];
  working.entry = held->second;
  working.row = held->second->row;
  working.damaged = held->second->damaged.has_value();
  if (Planted(Canary::kIgnoreOverlay)) {
    const auto stored = store_.env_.store.Get(Family::kRow, RowKey(table_->number, key));
    working.row = stored.ok() && *stored ? DecodeRow(**stored).value_or(Row()) : Row();
  }
  return working;
}

Row& RowTask::RowOf(std::string_view key) {
  Working& working = WorkingOf(key);
  SELVAGE_CHECK(!working.damaged);
  return working.row;
}

bool RowTask::IsDamaged(std::string_view key) {
  const bool damaged = WorkingOf(key).damaged;
  if (damaged) store_.NoteDamaged(*table_, key);
  return damaged;
}

void RowTask::TakeOver(std::string_view key) {
  Working& working = WorkingOf(key);
  ListDamaged(key, *working.entry->damaged);
  // It may have been counted in here.
  CountAsAnother();
  working.row.shared = true;  // for all that is known
  working.damaged = false;
  working.taken_over = true;
  working.changed = true;
}

void RowTask::ListDamaged(std::string_view key, std::string_view bytes) {
  v1::StoredConflict lost;
  lost.set_key(std::string(key));
  lost.set_kind("damaged");
  std::string hex;
  for (const char byte : bytes.substr(0, RowOverlay::kDamagedBytesKept)) {
    hex += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  }
  lost.set_losing_value('"' + hex + '"');
  List(std::move(lost));
}

bool RowTask::NoteRefused(std::string_view key) {
  absl::MutexLock lock(&store_.mutex_);
  const auto known = table_->damaged.find(key);
  return known == table_->damaged.end() || !std::exchange(known->second, true);
}

MergeResult RowTask::MergeInto(std::string_view key, const table::Change& change, const Arrival& arrival) {
  Row& row = RowOf(key);
  const std::optional<int64_t> expires_at_ms = TimeOf(row.expiry);
  // Before a put takes the place of the parts that tell it.
  row.shared = row.shared || IsShared(row);
  MergeResult result = Merge(row, change, arrival);
  if (result.outcome == MergeOutcome::kApplied) working_.find(key)->second.changed = true;
  for (const Conflict& conflict : result.conflicts) List(key, conflict);
  if (row.expiry && TimeOf(row.expiry) != expires_at_ms) Renew(row, arrival);
  return result;
}

bool RowTask::IsShared(const Row& row) const {
  bool shared = false;
  ForEachWrite(row, [&](const Write& write) { shared |= !write.via.none() || write.sequence < sent_; });
  return shared;
}

void RowTask::Follow(std::string_view key) {
  const Hlc limit = Hlc::AtMs(now_ms_ + kWithdrawnAheadMs);
  if (NewestOf(RowOf(key)) > limit && clock().last() <= limit) RestampRow(key, limit);
  clock().Follow(NewestOf(RowOf(key)));
}

bool RowTask::RestampRow(std::string_view key, Hlc limit) {
  Row& row = RowOf(key);
  const StoreId own = store_.options_.store_id();
  const PartsAhead ahead = FindAhead(row, own, limit);
  if (ahead.own == 0 || ahead.other) return false;
  clock().Follow(NewestUpTo(row, limit));
  Row restamped = Restamp(
      row, own, limit, [this] { return Tick().hlc; }, NextSequence());
  Replace(key, std::move(restamped));
  return true;
}

void RowTask::List(v1::StoredConflict conflict) {
  conflict.set_listed_ms(now_ms_);
  conflicts_.push_back(std::move(conflict));
}

void RowTask::List(std::string_view key, const Conflict& conflict) {
  List(Stored(key, conflict));
}

Hlc RowTask::collected() const {
  absl::MutexLock lock(&store_.mutex_);
  return table_->collected;
}

void RowTask::StageCollected(WriteBatch& batch, uint64_t horizon, Hlc collected) {
  absl::MutexLock lock(&store_.mutex_);
  table_->horizon = std::max(table_->horizon, horizon);
  table_->collected = std::max(table_->collected, collected);
  store_.StageDefinition(batch, *table_);
}

void RowTask::Replace(std::string_view key, Row row) {
  Working& working = WorkingOf(key);
  SELVAGE_CHECK(!working.damaged);
  working.row = std::move(row);
  working.changed = true;
}

}  // namespace selvage::table
