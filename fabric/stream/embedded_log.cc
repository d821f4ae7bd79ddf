#include "fabric/stream/embedded_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "fabric/base/canary.h"
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
  /// As the source, a batch that gets its offset when it is staged.
  AppendTask(EmbeddedLog& log, std::string batch, ProduceDone done)
      : log_(log.shared_from_this()),
        size_(SizeOf(batch.size())),
        produced_(std::move(batch)),
        done_(std::move(done)) {}
  /// As the source, a gap from wherever the end is when it is staged.
  AppendTask(EmbeddedLog& log, Offset gap_to, GapReason reason, AppendDone done)
      : log_(log.shared_from_this()),
        size_(kOverhead),
        done_(TellEnd(std::move(done))),
        tail_gap_to_(gap_to),
        reason_(reason) {
    entry_.kind = EntryKind::kGap;
  }
  /// As a replica, an entry as it is.
  AppendTask(EmbeddedLog& log, FlowEntry entry, Fence fence, AppendDone done)
      : log_(log.shared_from_this()),
        size_(SizeOf(entry.body.size())),
        done_(TellEnd(std::move(done))),
        fence_(std::move(fence)) {
    entry_.kind = entry.kind;
    entry_.from = entry.from;
    entry_.to = entry.to;
    entry_.body = std::move(entry.body);
  }

  /// What the body was admitted to the disk by.
  void Charge(DiskCharge charge) { charge_ = std::move(charge); }

  static size_t SizeOf(size_t body_bytes) { return body_bytes + kOverhead; }
  size_t ByteSize() const override { return size_; }

  absl::Status Stage(WriteBatch& batch) override {
    SELVAGE_RETURN_IF_ERROR(log_->CheckAppendable());
    SELVAGE_RETURN_IF_ERROR(JudgeSequence());
    if (appended_.duplicate) {
      after_ = log_->staged_;
      return absl::OkStatus();
    }
    entry_.hash_before = log_->staged_.hash;
    SELVAGE_RETURN_IF_ERROR(fence_ ? CheckReplica() : AssignPosition());
    if (entry_.kind == EntryKind::kBatch) {
      entry_.max_timestamp = ParseBatchHeader(entry_.body.view())->max_timestamp;
      entry_.hash_after = ChainBatch(entry_.hash_before, entry_.body.view());
    } else {
      entry_.max_timestamp = -1;
      entry_.hash_after = DecodeGap(entry_.body.view())->hash_after;
    }
    log_->StageEntry(batch, entry_);
    appended_.base = entry_.from;
    if (sequence_.numbered()) log_->producers_.Add(batch, sequence_, entry_.from, entry_.append_ms);
    after_ = log_->staged_;
    if (Planted(Canary::kServeBeforeSync)) {
      log_->env_.cache.Insert(log_->number_, entry_);
      log_->Publish(after_);
      log_->NotifyWatchers();
    }
    return absl::OkStatus();
  }

  void StageLast(WriteBatch& batch) override {
    if (sequence_.numbered()) log_->producers_.Flush(batch, sequence_.producer);
  }

  void Finish(const absl::Status& status) override {
    // Before anybody hears of it.
    if (status.ok() && !appended_.duplicate) {
      charge_.Written();
    } else {
      charge_.GiveBack();
    }
    if (!status.ok()) {
      done_(status);
      return;
    }
    appended_.end = after_.position();
    // What it is a duplicate of was durable before it, or in the same group.
    if (appended_.duplicate) return done_(appended_);
    // The cache first: who sees the new end finds the entry there.
    log_->env_.cache.Insert(log_->number_, entry_);
    log_->Publish(after_);
    log_->NotifyWatchers();
    done_(appended_);
  }

 private:
  static constexpr size_t kOverhead = 256;

  static ProduceDone TellEnd(AppendDone done) {
    return [done = std::move(done)](const absl::StatusOr<Appended>& appended) {
      done(appended.ok() ? absl::StatusOr<LogPosition>(appended->end) : appended.status());
    };
  }

  absl::Status OutOfSequence(std::string_view what, Offset offset) const {
    return MakeError(absl::StatusCode::kFailedPrecondition, "out_of_sequence",
                     fmt::format("{}: {} {} does not follow the log end {}", ToString(log_->origin_), what,
                                 offset.value(), log_->staged_.end.value()),
                     "", Retry::kYes);
  }

  /// A replica takes what its source took.
  absl::Status JudgeSequence() {
    if (fence_ || entry_.kind != EntryKind::kBatch) return absl::OkStatus();
    sequence_ = SequenceOf(*ParseBatchHeader(produced_));
    if (!sequence_.numbered()) return absl::OkStatus();
    const auto [verdict, base] = log_->producers_.Judge(sequence_);
    switch (verdict) {
      case ProducerWindow::Verdict::kAppend:
        break;
      case ProducerWindow::Verdict::kDuplicate:
        appended_.base = base;
        appended_.duplicate = true;
        break;
      case ProducerWindow::Verdict::kOutOfOrder:
        return MakeError(absl::StatusCode::kFailedPrecondition, "out_of_order_sequence",
                         fmt::format("{}: sequence {} of producer {} does not follow what it sent before",
                                     ToString(log_->origin_), sequence_.first, sequence_.producer));
      case ProducerWindow::Verdict::kUnknown:
        return MakeError(absl::StatusCode::kFailedPrecondition, "unknown_producer",
                         fmt::format("{}: sequence {} of producer {}, of whom nothing is known here",
                                     ToString(log_->origin_), sequence_.first, sequence_.producer),
                         "begin a new epoch of the producer, with sequence 0");
      case ProducerWindow::Verdict::kStaleEpoch:
        return MakeError(absl::StatusCode::kFailedPrecondition, "stale_producer_epoch",
                         fmt::format("{}: epoch {} of producer {} was superseded", ToString(log_->origin_),
                                     sequence_.epoch, sequence_.producer));
    }
    return absl::OkStatus();
  }

  absl::Status AssignPosition() {
    const LogState& state = log_->staged_;
    entry_.from = state.end;
    if (entry_.kind == EntryKind::kBatch) {
      StampBatch(produced_.data(), entry_.from, state.leader_epoch());
      entry_.body = Bytes(std::move(produced_));
      entry_.to = ParseBatchHeader(entry_.body.view())->next_offset();
      return absl::OkStatus();
    }
    if (tail_gap_to_ <= entry_.from) return OutOfSequence("a gap to offset", tail_gap_to_);
    Gap gap{.from = entry_.from,
            .to = tail_gap_to_,
            .reason = reason_,
            .leader_epoch = state.leader_epoch(),
            .hash_after = {},
            .recorded_ms = absl::ToUnixMillis(log_->env_.clock.Wall())};
    gap.hash_after = ChainGap(entry_.hash_before, gap);
    entry_.to = gap.to;
    entry_.body = Bytes(EncodeGap(gap));
    return absl::OkStatus();
  }

  absl::Status CheckReplica() const {
    SELVAGE_RETURN_IF_ERROR(log_->CheckFence(*fence_));
    if (entry_.from != log_->staged_.end && !Planted(Canary::kStoreJump)) {
      return OutOfSequence("an entry from offset", entry_.from);
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<EmbeddedLog> log_;
  const size_t size_;
  std::string produced_;  // until it has its offset
  ProduceDone done_;
  DiskCharge charge_;
  ProducerSequence sequence_;
  Appended appended_;
  Entry entry_;
  std::optional<Fence> fence_;
  Offset tail_gap_to_;
  GapReason reason_ = GapReason::kLostWithDisk;
  LogState after_;
};

EmbeddedLog::EmbeddedLog(LogEnvironment env, AgeClock& ages, LogChanges& changes, LogNumber number,
                         LogOrigin origin, LogState state, std::optional<Offset> acknowledged,
                         bool superseded)
    : env_(env),
      ages_(ages),
      changes_(changes),
      number_(number),
      origin_(std::move(origin)),
      staged_(state),
      producers_(number),
      start_to_be_(state.start.value()),
      published_(std::move(state)),
      acknowledged_(acknowledged),
      acknowledged_stored_(acknowledged),
      superseded_(superseded) {}

LogState EmbeddedLog::state() const {
  absl::MutexLock lock(&mutex_);
  return published_;
}

Offset EmbeddedLog::end() const {
  absl::MutexLock lock(&mutex_);
  return published_.end;
}

bool EmbeddedLog::never_written() const {
  absl::MutexLock lock(&mutex_);
  return published_.log_bytes == 0 && published_.start == published_.end && published_.end == published_.base;
}

bool EmbeddedLog::superseded() const {
  absl::MutexLock lock(&mutex_);
  return superseded_;
}

void EmbeddedLog::set_superseded(bool superseded) {
  {
    absl::MutexLock lock(&mutex_);
    superseded_ = superseded;
  }
  if (superseded) NotifyWatchers();
}

absl::Status EmbeddedLog::CheckAppendable() const {
  absl::MutexLock lock(&mutex_);
  if (!held_.ok()) return held_;
  if (!superseded_) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "log_closed",
                   fmt::format("{}: another log took this one's place", ToString(origin_)),
                   "look the stream up again and write to its current log");
}

absl::Status EmbeddedLog::CheckFence(const Fence& fence) const {
  if (env_.fences.Allows(fence) || Planted(Canary::kSkipEpochCheck)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "stale_session",
                   fmt::format("{}: the link session {} of {} was superseded", ToString(origin_),
                               fence.epoch.value(), fence.peer));
}

absl::StatusOr<DiskCharge> EmbeddedLog::AdmitBytes(size_t bytes) {
  auto admitted = env_.budget.Admit(bytes);
  if (admitted.ok() || !make_room_) return admitted;
  if (auto into_dropped = make_room_(*this, bytes)) return *std::move(into_dropped);
  return admitted;
}

size_t EmbeddedLog::QueueBytesOf(size_t batch_bytes) {
  return AppendTask::SizeOf(batch_bytes);
}

absl::Status EmbeddedLog::Append(std::string&& batch, ProduceDone done) {
  SELVAGE_RETURN_IF_ERROR(CheckAppendable());
  // The queue first: nothing is charged, let alone dropped, for what it turns away.
  SELVAGE_ASSIGN_OR_RETURN(Committer::Place place, env_.committer.Reserve(AppendTask::SizeOf(batch.size())));
  SELVAGE_ASSIGN_OR_RETURN(DiskCharge charge, AdmitBytes(batch.size()));
  auto task = std::make_unique<AppendTask>(*this, std::move(batch), std::move(done));
  task->Charge(std::move(charge));
  return env_.committer.Submit(std::move(task), std::move(place));
}

absl::Status EmbeddedLog::AppendReplica(FlowEntry entry, Fence fence, AppendDone done) {
  SELVAGE_RETURN_IF_ERROR(CheckAppendable());
  DiskCharge charge;
  if (entry.kind == EntryKind::kBatch) {
    SELVAGE_ASSIGN_OR_RETURN(BatchHeader header, ParseBatchHeader(entry.body.view()));
    if (header.base_offset != entry.from || header.next_offset() != entry.to || header.compacted()) {
      return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_batch",
                       fmt::format("{}: the batch covers other offsets than announced", ToString(origin_)));
    }
    SELVAGE_ASSIGN_OR_RETURN(charge, AdmitBytes(entry.body.size()));
  } else {
    SELVAGE_ASSIGN_OR_RETURN(Gap gap, DecodeGap(entry.body.view()));
    if (gap.from != entry.from || gap.to != entry.to) {
      return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_gap",
                       fmt::format("{}: the gap covers other offsets than announced", ToString(origin_)));
    }
  }
  auto task = std::make_unique<AppendTask>(*this, std::move(entry), std::move(fence), std::move(done));
  task->Charge(std::move(charge));
  return env_.committer.Submit(std::move(task), Committer::Limit::kNone);
}

absl::Status EmbeddedLog::AppendGap(Offset to, GapReason reason, AppendDone done) {
  SELVAGE_RETURN_IF_ERROR(CheckAppendable());
  return env_.committer.Submit(std::make_unique<AppendTask>(*this, to, reason, std::move(done)));
}

void EmbeddedLog::StageEntry(WriteBatch& batch, Entry& entry) {
  LogState& state = staged_;
  entry.append_ms = std::max(state.append_ms, ages_.NowMs());
  entry.max_timestamp = std::max(state.max_timestamp, entry.max_timestamp);
  entry.log_bytes = state.log_bytes + entry.body.size();
  batch.Put(Family::kLog, LogKey(number_, entry.from), {EncodeEntryHeader(entry), entry.body.view()});
  if (entry.kind == EntryKind::kGap) {
    batch.Put(Family::kMeta, GapIndexKey(number_, entry.from), {entry.body.view()});
  }
  state.end = entry.to;
  state.hash = entry.hash_after;
  state.append_ms = entry.append_ms;
  state.max_timestamp = entry.max_timestamp;
  state.log_bytes = entry.log_bytes;
  // A replica learns of a succession from the first entry that carries the new epoch.
  const LeaderEpoch epoch = LeaderEpochOf(entry);
  if (state.leader_epochs.empty() || epoch > state.leader_epoch()) {
    state.BeginLeaderEpoch(epoch, entry.from);
    StageDocument(batch);
  }
}

v1::StoredLog EmbeddedLog::Document() {
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
  document.set_start_hash(staged_.start_hash.value());
  document.set_deleted_to(staged_.deleted_to.value());
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
  if (compaction_.to > Offset(0)) {
    v1::StoredCompaction& compaction = *document.mutable_compaction();
    compaction.set_to(compaction_.to.value());
    compaction.set_counted_to(compaction_.counted_to);
    compaction.set_kept_bytes(compaction_.kept_bytes);
    compaction.set_tombstones_to(compaction_.tombstones_to.value());
    compaction.set_tombstones_ms(compaction_.tombstones_ms);
  }
  document.set_superseded(superseded_);
  document.set_acked(acknowledged_ ? acknowledged_->value() : -1);
  acknowledged_stored_ = acknowledged_;
  return document;
}

void EmbeddedLog::StageDocument(WriteBatch& batch) {
  batch.Put(Family::kMeta, LogDocumentKey(number_), {Document().SerializeAsString()});
}

void EmbeddedLog::Publish(const LogState& state) {
  {
    absl::MutexLock lock(&mutex_);
    published_ = state;
  }
  changes_.Note(number_);
}

void EmbeddedLog::NotifyWatchers() {
  absl::MutexLock lock(&watch_mutex_);
  for (const Watcher& watcher : watchers_) watcher.advanced();
}

std::optional<Offset> EmbeddedLog::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return acknowledged_;
}

void EmbeddedLog::SetAcknowledged(Offset offset) {
  {
    absl::MutexLock lock(&mutex_);
    acknowledged_ = offset;
  }
  changes_.Note(number_);
}

bool EmbeddedLog::AcknowledgedChanged() const {
  absl::MutexLock lock(&mutex_);
  // The document of a held log stays as it was found, and that of a deleted one must not come back.
  return held_.ok() && acknowledged_ != acknowledged_stored_;
}

void EmbeddedLog::StageAcknowledged(WriteBatch& batch) {
  if (AcknowledgedChanged()) StageDocument(batch);
}

int EmbeddedLog::Watch(std::function<void()> advanced) {
  absl::MutexLock lock(&watch_mutex_);
  if (closed()) return next_watcher_++;  // there is nothing to tell any more
  watchers_.push_back({next_watcher_, std::move(advanced)});
  return next_watcher_++;
}

void EmbeddedLog::Unwatch(int handle) {
  absl::MutexLock lock(&watch_mutex_);
  std::erase_if(watchers_, [&](const Watcher& watcher) { return watcher.handle == handle; });
}

void EmbeddedLog::Hold(absl::Status why) {
  {
    absl::MutexLock lock(&mutex_);
    if (!closed_) held_ = std::move(why);
  }
  changes_.Note(number_);
}

void EmbeddedLog::Close(absl::Status why) {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    superseded_ = true;
    held_ = std::move(why);
  }
  std::vector<Watcher> told;  // freed without a lock: a watcher may be the last to hold something
  absl::MutexLock lock(&watch_mutex_);
  told.swap(watchers_);
  for (const Watcher& watcher : told) watcher.advanced();
}

bool EmbeddedLog::closed() const {
  absl::MutexLock lock(&mutex_);
  return closed_;
}

absl::Status EmbeddedLog::held() const {
  absl::MutexLock lock(&mutex_);
  return held_;
}

absl::Status EmbeddedLog::ChangeState(const std::function<absl::Status(LogState&)>& change) {
  LogState after;
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        SELVAGE_RETURN_IF_ERROR(held());
        SELVAGE_RETURN_IF_ERROR(change(staged_));
        StageDocument(batch);
        after = staged_;
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        Publish(after);
        NotifyWatchers();
      });
}

absl::Status EmbeddedLog::ForgetIdleProducers(int64_t before_ms) {
  if (!producers_.MayHaveIdle(before_ms)) return absl::OkStatus();
  return Commit(env_.committer, [&](WriteBatch& batch) {
    SELVAGE_RETURN_IF_ERROR(held());
    producers_.ForgetIdle(batch, before_ms);
    return absl::OkStatus();
  });
}

absl::Status EmbeddedLog::StartLeaderEpoch(LeaderEpoch epoch) {
  return ChangeState([&](LogState& state) {
    if (epoch > state.leader_epoch()) state.BeginLeaderEpoch(epoch, state.end);
    return absl::OkStatus();
  });
}

absl::Status EmbeddedLog::CheckAdoptable() const {
  SELVAGE_RETURN_IF_ERROR(held());
  if (staged_.log_bytes == 0 && staged_.end == staged_.base) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "not_empty",
      fmt::format("{}: the log holds data of its own and cannot go on as another", ToString(origin_)),
      "start the edge with an empty data directory, or let it join as a new store");
}

LogState EmbeddedLog::StageAdopt(WriteBatch& batch, const LogPosition& at, LeaderEpoch epoch) {
  staged_.id = at.log;
  staged_.base = staged_.start = staged_.end = at.offset;
  staged_.deleted_to = Offset(0);
  staged_.base_hash = staged_.start_hash = staged_.hash = at.hash;
  staged_.leader_epochs = {{epoch, at.offset}};
  start_to_be_ = at.offset.value();
  producers_.ForgetAll(batch);
  StageDocument(batch);
  return staged_;
}

LogState EmbeddedLog::StageBranch(WriteBatch& batch, LogId id, const LogPosition& from) {
  staged_.id = id;
  staged_.base = from.offset;
  staged_.base_hash = from.hash;
  {
    absl::MutexLock lock(&mutex_);
    acknowledged_ = from.offset;
  }
  StageDocument(batch);
  return staged_;
}

LogState EmbeddedLog::StageLossAccepted(WriteBatch& batch, std::optional<Offset> lost_to) {
  // What lies behind the end is damaged or was never synced: it must not surface under offsets given anew.
  batch.DeleteRange(Family::kLog, LogKey(number_, staged_.end), LogKey(number_ + 1, Offset(0)));
  batch.DeleteRange(Family::kMeta, GapIndexKey(number_, staged_.end), GapIndexKey(number_ + 1, Offset(0)));
  // What they wrote last may be what was lost.
  producers_.ForgetAll(batch);
  {
    absl::MutexLock lock(&mutex_);
    compaction_ = {};
  }
  if (!lost_to) {
    staged_.ForgetLeaderEpochsBehind(staged_.end);
  } else {
    staged_.BeginLeaderEpoch(staged_.leader_epoch() + 1, staged_.end);
    if (*lost_to > staged_.end) {
      Entry entry;
      entry.kind = EntryKind::kGap;
      entry.from = staged_.end;
      entry.to = *lost_to;
      entry.hash_before = staged_.hash;
      Gap gap{.from = entry.from,
              .to = entry.to,
              .reason = GapReason::kLostWithDisk,
              .leader_epoch = staged_.leader_epoch(),
              .hash_after = {},
              .recorded_ms = absl::ToUnixMillis(env_.clock.Wall())};
      gap.hash_after = entry.hash_after = ChainGap(entry.hash_before, gap);
      entry.max_timestamp = -1;
      entry.body = Bytes(EncodeGap(gap));
      StageEntry(batch, entry);
    }
  }
  StageDocument(batch);
  return staged_;
}

absl::Status EmbeddedLog::AcceptLoss(std::optional<Offset> lost_to) {
  LogState after;
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        if (closed()) return held();
        after = StageLossAccepted(batch, lost_to);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        {
          absl::MutexLock lock(&mutex_);
          published_ = after;
          if (!closed_) held_ = absl::OkStatus();
        }
        changes_.Note(number_);
        NotifyWatchers();
      });
}

}  // namespace selvage
