#include "fabric/stream/embedded_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/stream/record_batch.h"

namespace selvage {

std::string ToString(const LogOrigin& origin) {
  if (origin.edge.empty()) return fmt::format("{}/{}", origin.stream, origin.partition.value());
  return fmt::format("{}/{}/{}", origin.edge, origin.stream, origin.partition.value());
}

/// Appends one entry: as the source (offset assigned here) or as a replica (offset checked here).
class AppendTask : public CommitTask {
 public:
  AppendTask(EmbeddedLog& log, EntryKind kind, std::string body, AppendDone done)
      : log_(log), size_(body.size()), body_(std::move(body)), done_(std::move(done)) {
    entry_.kind = kind;
  }

  void AsReplica(Fence fence, Offset from, Offset to) {
    fence_ = std::move(fence);
    entry_.from = from;
    entry_.to = to;
  }
  /// A gap from wherever the end is when it is staged.
  void AsTailGap(Offset to, GapReason reason) {
    tail_gap_to_ = to;
    reason_ = reason;
  }

  size_t ByteSize() const override { return size_; }

  absl::Status Stage(WriteBatch& batch) override {
    SELVAGE_RETURN_IF_ERROR(log_.held());
    entry_.hash_before = log_.staged_.hash;
    SELVAGE_RETURN_IF_ERROR(fence_ ? CheckReplica() : AssignPosition());
    if (entry_.kind == EntryKind::kBatch) {
      entry_.max_timestamp = ParseBatchHeader(body_)->max_timestamp;
      entry_.hash_after = ChainBatch(entry_.hash_before, body_);
    } else {
      entry_.max_timestamp = -1;
      entry_.hash_after = DecodeGap(body_)->hash_after;
    }
    entry_.body = Bytes(std::move(body_));
    log_.StageEntry(batch, entry_);
    after_ = log_.staged_;
    return absl::OkStatus();
  }

  void Finish(const absl::Status& status) override {
    if (!status.ok()) {
      done_(status);
      return;
    }
    log_.PublishEntry(entry_, after_);
    done_(after_.position());
  }

 private:
  absl::Status AssignPosition() {
    entry_.from = log_.staged_.end;
    if (entry_.kind == EntryKind::kBatch) {
      StampBatch(body_.data(), entry_.from, log_.staged_.leader_epoch());
      entry_.to = ParseBatchHeader(body_)->next_offset();
      return absl::OkStatus();
    }
    if (tail_gap_to_ <= entry_.from) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "out_of_sequence",
                       fmt::format("{}: a gap to {} ends before the log end {}", ToString(log_.origin_),
                                   tail_gap_to_.value(), entry_.from.value()));
    }
    Gap gap{.from = entry_.from, .to = tail_gap_to_, .reason = reason_, .leader_epoch = log_.staged_.leader_epoch(),
            .hash_after = {}, .recorded_ms = absl::ToUnixMillis(log_.env_.clock.Wall())};
    gap.hash_after = ChainGap(entry_.hash_before, gap);
    entry_.to = gap.to;
    body_ = EncodeGap(gap);
    return absl::OkStatus();
  }

  absl::Status CheckReplica() const {
    if (!log_.env_.fences.Allows(*fence_)) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "stale_session",
                       fmt::format("{}: the link session {} of {} was superseded", ToString(log_.origin_),
                                   fence_->epoch.value(), fence_->peer));
    }
    if (entry_.from != log_.staged_.end) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "out_of_sequence",
                       fmt::format("{}: an entry from offset {} does not follow the log end {}", ToString(log_.origin_),
                                   entry_.from.value(), log_.staged_.end.value()));
    }
    return absl::OkStatus();
  }

  EmbeddedLog& log_;
  const size_t size_;
  std::string body_;
  AppendDone done_;
  Entry entry_;
  std::optional<Fence> fence_;
  Offset tail_gap_to_;
  GapReason reason_ = GapReason::kLostWithDisk;
  LogState after_;
};

/// Moves the start of a log to `boundary`, leaving a gap for what was not acknowledged.
class TrimTask : public CommitTask {
 public:
  /// `hash_before_gap` is the chain hash at the gap's start, so that a replica that stands there can resume.
  TrimTask(EmbeddedLog& log, Entry last_dropped, std::optional<Gap> gap, ChainHash hash_before_gap,
           absl::Status& outcome)
      : log_(log), last_dropped_(std::move(last_dropped)), gap_(gap), hash_before_gap_(hash_before_gap),
        outcome_(outcome) {}

  size_t ByteSize() const override { return 256; }

  absl::Status Stage(WriteBatch& batch) override {
    LogState& state = log_.staged_;
    // Another trim came first: what it left is trimmed by the next pass.
    if (last_dropped_.to <= state.start || (gap_ && gap_->from < state.start)) return absl::OkStatus();
    batch.DeleteRange(Family::kLog, LogKey(log_.number_, state.start), LogKey(log_.number_, last_dropped_.to));
    batch.DeleteRange(Family::kMeta, GapIndexKey(log_.number_, state.start), GapIndexKey(log_.number_, last_dropped_.to));
    state.bytes_before_start = last_dropped_.log_bytes;
    if (gap_) {
      Entry entry = last_dropped_;
      entry.kind = EntryKind::kGap;
      entry.from = gap_->from;
      entry.body = Bytes(EncodeGap(*gap_));
      entry.hash_before = hash_before_gap_;
      batch.Put(Family::kLog, LogKey(log_.number_, entry.from), {EncodeEntryHeader(entry), entry.body.view()});
      batch.Put(Family::kMeta, GapIndexKey(log_.number_, entry.from), {entry.body.view()});
      state.start = gap_->from;
    } else {
      state.start = last_dropped_.to;
    }
    log_.StageDocument(batch);
    after_ = state;
    return absl::OkStatus();
  }

  void Finish(const absl::Status& status) override {
    outcome_ = status;
    if (!status.ok() || after_.id.none()) return;
    if (gap_) log_.env_.cache.Forget(log_.number_);  // cached entries must not contradict the gap
    log_.Publish(after_);
  }

 private:
  EmbeddedLog& log_;
  const Entry last_dropped_;
  const std::optional<Gap> gap_;
  const ChainHash hash_before_gap_;
  absl::Status& outcome_;
  LogState after_;
};

EmbeddedLog::EmbeddedLog(LogEnvironment env, LogNumber number, LogOrigin origin, LogState state,
                         std::optional<Offset> acknowledged, bool superseded)
    : env_(env), number_(number), origin_(std::move(origin)), staged_(state), published_(std::move(state)),
      acknowledged_(acknowledged), acknowledged_stored_(acknowledged), superseded_(superseded) {}

LogState EmbeddedLog::state() const {
  absl::MutexLock lock(&mutex_);
  return published_;
}

bool EmbeddedLog::superseded() const {
  absl::MutexLock lock(&mutex_);
  return superseded_;
}

void EmbeddedLog::set_superseded() {
  absl::MutexLock lock(&mutex_);
  superseded_ = true;
}

absl::Status EmbeddedLog::AdmitBytes(size_t bytes) {
  absl::Status admitted = env_.budget.Admit(bytes);
  if (admitted.ok() || !make_room_ || !make_room_(*this, bytes)) return admitted;
  return env_.budget.AdmitFromReserve(bytes);
}

absl::Status EmbeddedLog::Append(std::string batch, AppendDone done) {
  SELVAGE_RETURN_IF_ERROR(held());
  SELVAGE_RETURN_IF_ERROR(AdmitBytes(batch.size()));
  return env_.committer.Submit(
      std::make_unique<AppendTask>(*this, EntryKind::kBatch, std::move(batch), std::move(done)));
}

absl::Status EmbeddedLog::AppendReplica(ReplicaEntry entry, Fence fence, AppendDone done) {
  SELVAGE_RETURN_IF_ERROR(held());
  if (entry.kind == EntryKind::kBatch) {
    SELVAGE_ASSIGN_OR_RETURN(BatchHeader header, ParseBatchHeader(entry.body));
    if (header.base_offset != entry.from || header.next_offset() != entry.to) {
      return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_batch",
                       fmt::format("{}: the batch covers other offsets than announced", ToString(origin_)));
    }
    SELVAGE_RETURN_IF_ERROR(AdmitBytes(entry.body.size()));
  } else {
    SELVAGE_ASSIGN_OR_RETURN(Gap gap, DecodeGap(entry.body));
    if (gap.from != entry.from || gap.to != entry.to) {
      return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_gap",
                       fmt::format("{}: the gap covers other offsets than announced", ToString(origin_)));
    }
  }
  auto task = std::make_unique<AppendTask>(*this, entry.kind, std::move(entry.body), std::move(done));
  task->AsReplica(std::move(fence), entry.from, entry.to);
  return env_.committer.Submit(std::move(task));
}

absl::Status EmbeddedLog::AppendGap(Offset to, GapReason reason, AppendDone done) {
  auto task = std::make_unique<AppendTask>(*this, EntryKind::kGap, std::string(), std::move(done));
  task->AsTailGap(to, reason);
  return env_.committer.Submit(std::move(task));
}

void EmbeddedLog::StageEntry(WriteBatch& batch, Entry& entry) {
  LogState& state = staged_;
  entry.append_ms = std::max(state.append_ms, absl::ToUnixMillis(env_.clock.Wall()));
  entry.max_timestamp = std::max(state.max_timestamp, entry.max_timestamp);
  entry.log_bytes = state.log_bytes + entry.body.size();
  batch.Put(Family::kLog, LogKey(number_, entry.from), {EncodeEntryHeader(entry), entry.body.view()});
  LeaderEpoch epoch(0);
  if (entry.kind == EntryKind::kGap) {
    batch.Put(Family::kMeta, GapIndexKey(number_, entry.from), {entry.body.view()});
    epoch = DecodeGap(entry.body.view())->leader_epoch;
  } else {
    epoch = ParseBatchHeader(entry.body.view())->leader_epoch;
  }
  state.end = entry.to;
  state.hash = entry.hash_after;
  state.append_ms = entry.append_ms;
  state.max_timestamp = entry.max_timestamp;
  state.log_bytes = entry.log_bytes;
  // A replica learns of a succession from the first entry that carries the new epoch.
  if (state.leader_epochs.empty() || epoch > state.leader_epoch()) {
    state.leader_epochs.emplace_back(epoch, entry.from);
    StageDocument(batch);
  }
}

v1::StoredLog EmbeddedLog::Document() const {
  v1::StoredLog document;
  document.set_number(number_.value());
  document.set_log_id(staged_.id.bytes());
  document.set_edge(origin_.edge);
  document.set_slot(origin_.slot.value());
  document.set_stream(origin_.stream);
  document.set_partition(origin_.partition.value());
  document.set_base(staged_.base.value());
  document.set_base_hash(staged_.base_hash.value());
  document.set_start(staged_.start.value());
  document.set_bytes_before_start(staged_.bytes_before_start);
  document.set_end(staged_.end.value());
  document.set_end_hash(staged_.hash.value());
  document.set_bytes_at_end(staged_.log_bytes);
  document.set_max_timestamp(staged_.max_timestamp);
  document.set_append_ms(staged_.append_ms);
  for (const auto& [epoch, start] : staged_.leader_epochs) {
    auto* stored = document.add_leader_epochs();
    stored->set_epoch(epoch.value());
    stored->set_start(start.value());
  }
  absl::MutexLock lock(&mutex_);
  document.set_superseded(superseded_);
  document.set_acked(acknowledged_ ? acknowledged_->value() : -1);
  return document;
}

void EmbeddedLog::StageDocument(WriteBatch& batch) {
  batch.Put(Family::kMeta, LogDocumentKey(number_), {Document().SerializeAsString()});
}

void EmbeddedLog::Publish(const LogState& state) {
  absl::MutexLock lock(&mutex_);
  published_ = state;
}

void EmbeddedLog::PublishEntry(const Entry& entry, const LogState& state) {
  env_.cache.Insert(number_, entry);
  Publish(state);
  absl::MutexLock lock(&watch_mutex_);
  for (const Watcher& watcher : watchers_) watcher.advanced();
}

absl::StatusOr<std::unique_ptr<Cursor>> EmbeddedLog::CursorAt(Offset offset) {
  SELVAGE_RETURN_IF_ERROR(held());
  auto cursor = env_.store.Scan(Family::kLog, LogKey(number_, Offset(0)), LogKey(number_, Offset(INT64_MAX)));
  cursor->SeekForPrev(LogKey(number_, offset));
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return cursor;
}

absl::StatusOr<std::optional<Entry>> EmbeddedLog::EntryContaining(Offset offset) {
  SELVAGE_ASSIGN_OR_RETURN(auto cursor, CursorAt(offset));
  if (!cursor->Valid()) return std::nullopt;
  SELVAGE_ASSIGN_OR_RETURN(Entry entry,
                           DecodeEntry(OffsetOfLogKey(cursor->key()), Bytes(std::string(cursor->value()))));
  if (entry.to <= offset) return std::nullopt;
  return entry;
}

absl::StatusOr<std::vector<Entry>> EmbeddedLog::Read(Offset from, size_t max_bytes, bool from_disk) {
  SELVAGE_RETURN_IF_ERROR(held());
  LogState state = this->state();
  if (from < state.start || from > state.end) {
    return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                     fmt::format("{}: offset {} is outside of what is held, {} to {}", ToString(origin_), from.value(),
                                 state.start.value(), state.end.value()),
                     "read from the start or the end");
  }
  if (from == state.end) return std::vector<Entry>();
  if (!from_disk) {
    std::vector<Entry> cached = env_.cache.Read(number_, from, max_bytes);
    if (!cached.empty()) return cached;
  }
  std::vector<Entry> entries;
  size_t bytes = 0;
  SELVAGE_ASSIGN_OR_RETURN(auto cursor, CursorAt(from));
  for (; cursor->Valid(); cursor->Next()) {
    Offset at = OffsetOfLogKey(cursor->key());
    if (at >= state.end) break;  // written, but not synced when we looked
    size_t size = cursor->value().size();
    if (!entries.empty() && bytes + size > max_bytes) break;
    auto entry = DecodeEntry(at, Bytes(std::string(cursor->value())));
    if (!entry.ok()) {
      if (entries.empty()) return Annotate(entry.status(), ToString(origin_));
      break;  // what is whole goes out; the damage answers the next read
    }
    if (entry->to <= from) continue;
    bytes += size;
    entries.push_back(*std::move(entry));
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  if (entries.empty() && from >= this->state().start) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_entry",
                     fmt::format("{}: no entry holds offset {}", ToString(origin_), from.value()));
  }
  return entries;
}

absl::StatusOr<LogPosition> EmbeddedLog::BoundaryAtOrBefore(Offset offset) {
  LogState state = this->state();
  if (offset >= state.end) return state.position();
  if (offset < state.start) {
    return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                     fmt::format("{}: offset {} is before the start {}", ToString(origin_), offset.value(),
                                 state.start.value()));
  }
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> entry, EntryContaining(offset));
  if (!entry) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_entry",
                     fmt::format("{}: no entry holds offset {}", ToString(origin_), offset.value()));
  }
  return LogPosition{state.id, entry->from, entry->hash_before};
}

absl::StatusOr<std::optional<Entry>> EmbeddedLog::Search(const std::function<bool(const Entry&)>& wanted) {
  LogState state = this->state();
  Offset low = state.start, high = state.end;  // the wanted entry begins in [low, high), or is `found`
  std::optional<Entry> found;
  while (low < high) {
    Offset middle(low.value() + (high - low) / 2);
    SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> entry, EntryContaining(middle));
    if (!entry) break;  // trimmed meanwhile
    if (wanted(*entry)) {
      high = entry->from;
      found = std::move(entry);
    } else {
      low = entry->to;
    }
  }
  return found;
}

absl::StatusOr<std::optional<Entry>> EmbeddedLog::FirstAtOrAfter(int64_t timestamp_ms) {
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> entry,
                           Search([&](const Entry& e) { return e.max_timestamp >= timestamp_ms; }));
  // The running maximum may come from a record that was trimmed: step to an entry that has such a record itself.
  while (entry) {
    if (entry->kind == EntryKind::kBatch && ParseBatchHeader(entry->body.view())->max_timestamp >= timestamp_ms) break;
    Offset next = entry->to;
    if (next >= state().end) return std::nullopt;
    SELVAGE_ASSIGN_OR_RETURN(entry, EntryContaining(next));
  }
  return entry;
}

absl::Status EmbeddedLog::Trim(Offset to, std::optional<Offset> unacknowledged_from, GapReason reason) {
  LogState state = this->state();
  to = std::min(to, state.end);
  if (to <= state.start) return absl::OkStatus();
  // The last entry that goes: it ends at `to`, or at the boundary before it.
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> last, EntryContaining(to - 1));
  if (last && last->to > to) {
    if (last->from <= state.start) return absl::OkStatus();
    SELVAGE_ASSIGN_OR_RETURN(last, EntryContaining(last->from - 1));
  }
  if (!last) return absl::OkStatus();

  std::optional<Gap> gap;
  ChainHash hash_before_gap;
  if (unacknowledged_from && *unacknowledged_from < last->to) {
    Offset from = std::max(state.start, *unacknowledged_from);
    SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> first, EntryContaining(from));
    if (!first) return absl::OkStatus();
    from = first->from;
    if (last->kind == EntryKind::kGap && last->from == from) return absl::OkStatus();
    hash_before_gap = first->hash_before;
    gap = Gap{.from = from, .to = last->to, .reason = reason,
              .leader_epoch = state.leader_epoch(), .hash_after = last->hash_after,
              .recorded_ms = absl::ToUnixMillis(env_.clock.Wall())};
  }
  absl::Status outcome;
  SELVAGE_RETURN_IF_ERROR(
      CommitAndWait(env_.committer, std::make_unique<TrimTask>(*this, *std::move(last), gap, hash_before_gap, outcome)));
  return outcome;
}

std::optional<Offset> EmbeddedLog::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return acknowledged_;
}

void EmbeddedLog::SetAcknowledged(Offset offset) {
  absl::MutexLock lock(&mutex_);
  acknowledged_ = offset;
}

void EmbeddedLog::StageAcknowledged(WriteBatch& batch) {
  {
    absl::MutexLock lock(&mutex_);
    if (acknowledged_ == acknowledged_stored_) return;
    acknowledged_stored_ = acknowledged_;
  }
  StageDocument(batch);
}

int EmbeddedLog::Watch(std::function<void()> advanced) {
  absl::MutexLock lock(&watch_mutex_);
  watchers_.push_back({next_watcher_, std::move(advanced)});
  return next_watcher_++;
}

void EmbeddedLog::Unwatch(int handle) {
  absl::MutexLock lock(&watch_mutex_);
  std::erase_if(watchers_, [&](const Watcher& watcher) { return watcher.handle == handle; });
}

void EmbeddedLog::Hold(absl::Status why) {
  absl::MutexLock lock(&mutex_);
  held_ = std::move(why);
}

void EmbeddedLog::Release() {
  absl::MutexLock lock(&mutex_);
  held_ = absl::OkStatus();
}

absl::Status EmbeddedLog::held() const {
  absl::MutexLock lock(&mutex_);
  return held_;
}

absl::Status EmbeddedLog::ChangeState(const std::function<bool(LogState&)>& change) {
  LogState after;
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        if (!change(staged_)) return absl::OkStatus();
        StageDocument(batch);
        after = staged_;
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (status.ok() && !after.id.none()) Publish(after);
      });
}

absl::Status EmbeddedLog::StartLeaderEpoch(LeaderEpoch epoch) {
  return ChangeState([&](LogState& state) {
    if (epoch <= state.leader_epoch()) return false;
    state.leader_epochs.emplace_back(epoch, state.end);
    return true;
  });
}

absl::Status EmbeddedLog::Branch(LogId id, const LogPosition& from) {
  SetAcknowledged(from.offset);
  return ChangeState([&](LogState& state) {
    state.id = id;
    state.base = from.offset;
    state.base_hash = from.hash;
    return true;
  });
}

}  // namespace selvage
