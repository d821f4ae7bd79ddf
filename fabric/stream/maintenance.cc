#include "fabric/stream/maintenance.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/stream/produce_check.h"

namespace selvage {
namespace {

constexpr size_t kCompactBytes = 64u << 20;  // read in one round
constexpr uint64_t kReclaimMin = 64u << 20;
constexpr uint64_t kReclaimShare = 8;  // of the files
constexpr uint64_t kDropShare = 16;    // of the log
/// Reclaiming rewrites files: it may take at most one part in so many of the time.
constexpr int kReclaimPause = 4;

/// The first entry of the log that stays: everything before has gone when it is `wanted`.
absl::StatusOr<Offset> FirstKept(EmbeddedLog& log, Offset end,
                                 const std::function<bool(const Entry&)>& wanted) {
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> kept, log.Search(wanted));
  return kept ? kept->from : end;
}

}  // namespace

Maintenance::Maintenance(KvStore& store, EmbeddedLogStore& logs, StreamCatalog& catalog, DiskBudget& budget,
                         Clock& clock, ReplicatedFromHere replicated_from_here)
    : store_(store),
      logs_(logs),
      catalog_(catalog),
      budget_(budget),
      clock_(clock),
      replicated_from_here_(std::move(replicated_from_here)) {}

absl::Status Maintenance::RunOnce() {
  absl::Status first;
  for (EmbeddedLog* log : logs_.Logs()) {
    auto definition = catalog_.Find(log->origin().stream);
    if (!definition || !log->held().ok()) continue;
    first.Update(TrimLog(*log, *definition));
    first.Update(log->ForgetIdleProducers(logs_.AgeNowMs() - absl::ToInt64Milliseconds(kProducerIdleMax)));
  }
  first.Update(logs_.FlushAcknowledged());
  first.Update(Measure());
  return first;
}

RetentionView Maintenance::ViewOf(const EmbeddedLog& log, const v1::StreamDefinition& definition) const {
  // Read first: what is acknowledged only grows meanwhile, but for a replica that lost.
  const Offset acknowledged = log.acknowledged().value_or(Offset(0));
  const LogState state = log.state();
  return {.start = state.start,
          .end = state.end,
          .bytes_before_start = state.bytes_before_start,
          .log_bytes = state.log_bytes,
          .replicated = replicated_from_here_(log.origin(), definition),
          .acknowledged = acknowledged};
}

absl::StatusOr<Offset> Maintenance::ExpiredTo(EmbeddedLog& log, const v1::StreamSettings& settings,
                                              const RetentionView& view) {
  Offset to = view.start;
  if (auto cutoff = AgeCutoff(settings, logs_.AgeNowMs())) {
    SELVAGE_ASSIGN_OR_RETURN(Offset kept, FirstKept(log, view.end, [&](const Entry& entry) {
                               return entry.append_ms >= *cutoff;
                             }));
    to = std::max(to, kept);
  }
  if (auto cutoff = BytesCutoff(settings, view)) {
    SELVAGE_ASSIGN_OR_RETURN(
        Offset kept, FirstKept(log, view.end, [&](const Entry& entry) { return entry.log_bytes > *cutoff; }));
    to = std::max(to, kept);
  }
  return to;
}

absl::Status Maintenance::TrimLog(EmbeddedLog& log, const v1::StreamDefinition& definition) {
  const RetentionView view = ViewOf(log, definition);
  SELVAGE_ASSIGN_OR_RETURN(Offset expired_to, ExpiredTo(log, definition.settings(), view));
  auto plan = PlanTrim(definition.settings(), view, expired_to);
  if (!plan) return absl::OkStatus();
  return log.Trim(plan->to, plan->unacknowledged_from, plan->reason);
}

absl::Status Maintenance::Measure() {
  const uint64_t written = budget_.written();
  SELVAGE_ASSIGN_OR_RETURN(uint64_t file_bytes, store_.FileBytes());
  SELVAGE_ASSIGN_OR_RETURN(uint64_t free_bytes, store_.FreeBytes());
  budget_.Measured(file_bytes, free_bytes, written);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Maintenance::DropOldest(EmbeddedLog& log, const v1::StreamDefinition& definition,
                                                 uint64_t bytes) {
  const RetentionView view = ViewOf(log, definition);
  const uint64_t held = view.log_bytes - view.bytes_before_start;
  const uint64_t enough = view.bytes_before_start + std::max(bytes, held / kDropShare);
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> last,
                           log.Search([&](const Entry& entry) { return entry.log_bytes >= enough; }));
  const Offset to = last ? last->to : view.end;
  std::optional<Offset> unacknowledged_from;
  if (view.replicated && to > view.acknowledged)
    unacknowledged_from = std::max(view.start, view.acknowledged);
  SELVAGE_RETURN_IF_ERROR(log.Trim(to, unacknowledged_from, GapReason::kDroppedForSpace));
  return log.state().bytes_before_start - view.bytes_before_start;
}

std::optional<DiskCharge> Maintenance::MakeRoom(EmbeddedLog& log, size_t bytes) {
  auto definition = catalog_.Find(log.origin().stream);
  if (!definition || definition->settings().on_full() != v1::DROP_OLDEST) return std::nullopt;
  absl::MutexLock lock(&room_mutex_);
  // Dropping more would not help before what was dropped is reclaimed and measured.
  if (!budget_.FitsReserve(bytes) && BytesToReclaim() > 0) return std::nullopt;
  if (const uint64_t needed = budget_.MustDrop(bytes); needed > 0) {
    auto dropped = DropOldest(log, *definition, needed);
    if (!dropped.ok() || *dropped == 0) return std::nullopt;
    budget_.Dropped(*dropped);
    absl::MutexLock also(&mutex_);
    dropped_ = true;
  }
  auto admitted = budget_.AdmitIntoDropped(bytes);
  if (!admitted.ok()) return std::nullopt;
  return *std::move(admitted);
}

absl::Status Maintenance::Compact() {
  std::vector<EmbeddedLog*> logs = logs_.Logs();
  // The one under way first.
  std::stable_partition(logs.begin(), logs.end(),
                        [&](EmbeddedLog* log) { return compaction_ && log->number() == compacting_; });
  if (logs.empty() || logs.front()->number() != compacting_) compaction_.reset();
  absl::Status first;
  size_t left = kCompactBytes;
  for (EmbeddedLog* log : logs) {
    auto definition = catalog_.Find(log->origin().stream);
    const bool wanted = definition && IsCompacted(definition->settings()) && log->origin().edge.empty();
    if (!wanted || !log->held().ok() || log->superseded()) {
      compaction_.reset();
      continue;
    }
    if (compaction_ == nullptr) compaction_ = std::make_unique<LogCompaction>(*log);
    compacting_ = log->number();
    auto work = compaction_->Run(definition->settings(), logs_.AgeNowMs(), left);
    if (work.ok()) {
      absl::MutexLock lock(&mutex_);
      compacted_[log->number()] += work->freed;
      if (work->read >= left) return first;
      left -= work->read;
    } else {
      first.Update(work.status());
    }
    compaction_.reset();
  }
  return first;
}

uint64_t Maintenance::BytesToReclaim() {
  const std::vector<EmbeddedLog*> logs = logs_.Logs();
  const std::vector<EmbeddedLogStore::DeletedLog> deleted = logs_.TakeDeleted();
  absl::MutexLock lock(&mutex_);
  for (const auto& [number, bytes] : deleted) {
    deleted_[number] += bytes;
    reclaimed_.erase(number);
  }
  uint64_t bytes = 0;
  for (const auto& [number, size] : deleted_) bytes += size;
  for (const auto& [number, size] : compacted_) bytes += size;
  for (EmbeddedLog* log : logs) {
    auto reclaimed = reclaimed_.find(log->number());
    bytes += log->state().bytes_before_start - (reclaimed == reclaimed_.end() ? 0 : reclaimed->second);
  }
  return bytes;
}

bool Maintenance::WorthReclaiming(uint64_t bytes) const {
  if (bytes > 0 && (dropped_ || !budget_.has_room())) return true;
  return bytes > std::max(kReclaimMin, budget_.file_bytes() / kReclaimShare);
}

std::vector<Maintenance::Range> Maintenance::TakeRanges() {
  std::vector<Range> ranges;
  const std::vector<EmbeddedLog*> logs = logs_.Logs();
  absl::MutexLock lock(&mutex_);
  dropped_ = false;
  for (const auto& [number, bytes] : std::exchange(deleted_, {}))
    ranges.push_back({number, Offset(INT64_MAX), bytes});
  const std::map<LogNumber, uint64_t> compacted = std::exchange(compacted_, {});
  for (EmbeddedLog* log : logs) {
    const LogState state = log->state();
    auto freed = compacted.find(log->number());
    if (freed != compacted.end() && freed->second > 0) {
      ranges.push_back({log->number(), log->compaction().to, freed->second});
    }
    uint64_t& reclaimed = reclaimed_[log->number()];
    if (state.bytes_before_start <= reclaimed) continue;
    // What a leading gap stands for is gone as well.
    Offset to = state.start;
    auto first = log->Read(state.start, 1);
    if (first.ok() && !first->empty() && first->front().kind == EntryKind::kGap) to = first->front().to;
    ranges.push_back({log->number(), to, state.bytes_before_start});
    reclaimed = state.bytes_before_start;
  }
  return ranges;
}

absl::Status Maintenance::MaybeReclaim() {
  {
    const uint64_t bytes = BytesToReclaim();
    absl::MutexLock lock(&mutex_);
    if (clock_.Monotonic() < next_reclaim_ || !WorthReclaiming(bytes)) return absl::OkStatus();
  }
  const absl::Duration began = clock_.Monotonic();
  absl::Status first;
  for (const Range& range : TakeRanges()) {
    first.Update(store_.Reclaim(Family::kLog, LogKey(range.log, Offset(0)), LogKey(range.log, range.to)));
  }
  first.Update(Measure());
  const absl::Duration ended = clock_.Monotonic();
  budget_.Reclaimed();
  absl::MutexLock lock(&mutex_);
  next_reclaim_ = ended + (ended - began) * kReclaimPause;
  return first;
}

}  // namespace selvage
