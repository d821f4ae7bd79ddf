#include "fabric/stream/maintenance.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fabric/base/canary.h"
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

}  // namespace

Maintenance::Maintenance(KvStore& store, EmbeddedLogStore& logs, StreamCatalog& catalog, DiskBudget& budget,
                         Clock& clock, AgeClock& ages, ReplicatedFromHere replicated_from_here)
    : store_(store),
      logs_(logs),
      catalog_(catalog),
      budget_(budget),
      clock_(clock),
      ages_(ages),
      replicated_from_here_(std::move(replicated_from_here)) {}

absl::Status Maintenance::RunOnce() {
  absl::Status first;
  for (const auto& [number, log] : LogsToLookAt()) first.Update(LookAt(*log));
  first.Update(logs_.FlushAcknowledged());
  first.Update(Measure());
  return first;
}

std::map<LogNumber, std::shared_ptr<EmbeddedLog>> Maintenance::LogsToLookAt() {
  if (const uint64_t catalog = catalog_.changes(); catalog != catalog_seen_) {
    catalog_seen_ = catalog;
    changes_seen_ = 0;  // other limits may hold for any of them
  }
  if (const uint64_t found = logs_.changes(); found != logs_seen_) {
    logs_seen_ = found;
    std::erase_if(looks_, [&](const auto& look) {
      if (logs_.FindNumber(look.first) != nullptr) return false;
      schedule_.Set(look.first, LogSchedule::kNever);
      return true;
    });
  }
  std::map<LogNumber, std::shared_ptr<EmbeddedLog>> logs;
  const auto add = [&](LogNumber number) {
    if (const std::shared_ptr<EmbeddedLog> log = logs_.FindEmbedded(number); log != nullptr)
      logs.emplace(number, log);
  };
  for (const std::shared_ptr<Log>& log : logs_.ChangedSince(changes_seen_)) add(log->number());
  for (LogNumber number : schedule_.TakeDue(ages_.NowMs())) add(number);
  return logs;
}

absl::Status Maintenance::LookAt(EmbeddedLog& log) {
  const LogNumber number = log.number();
  const auto definition = catalog_.Find(log.origin().stream);
  if (!definition || !log.held().ok()) {  // it changes when that does
    looks_.erase(number);
    schedule_.Set(number, LogSchedule::kNever);
    return absl::OkStatus();
  }
  const int64_t now_ms = ages_.NowMs();
  const int64_t idle_ms = absl::ToInt64Milliseconds(kProducerIdleMax);
  Look& look = looks_[number];
  absl::Status status = TrimLog(log, *definition, look);
  status.Update(log.ForgetIdleProducers(now_ms - idle_ms));
  int64_t due_ms = LogSchedule::kNever;
  if (look.by_age) {
    const int64_t retention_ms = definition->settings().retention_ms();
    if (retention_ms < INT64_MAX - look.by_age->value) due_ms = look.by_age->value + retention_ms + 1;
  }
  if (const int64_t idlest_ms = log.idlest_producer_ms(); idlest_ms != INT64_MAX) {
    due_ms = std::min(due_ms, idlest_ms + idle_ms + 1);
  }
  schedule_.Set(number, status.ok() ? due_ms : now_ms);
  return status;
}

RetentionView Maintenance::ViewOf(const EmbeddedLog& log, const v1::StreamDefinition& definition) const {
  // Read first: what is acknowledged only grows meanwhile, but for a replica that lost.
  const Offset acknowledged = log.acknowledged().value_or(Offset(0));
  const LogState state = log.state();
  const bool forgotten = Planted(Canary::kDropDetached) && definition.settings().detached();
  return {.start = state.start,
          .end = state.end,
          .bytes_before_start = state.bytes_before_start,
          .log_bytes = state.log_bytes,
          .replicated = replicated_from_here_(log.origin(), definition) && !forgotten,
          .acknowledged = acknowledged};
}

absl::StatusOr<Offset> Maintenance::FindFirstKept(EmbeddedLog& log, const RetentionView& view, int64_t limit,
                                                  const std::function<int64_t(const Entry&)>& value,
                                                  std::optional<FirstKept>& known) {
  const bool still = known && view.start <= known->from && known->from < view.end && known->limit <= limit &&
                     limit <= known->value;
  if (still) return known->from;
  known.reset();
  SELVAGE_ASSIGN_OR_RETURN(const std::optional<Entry> kept,
                           log.SearchNearStart([&](const Entry& entry) { return value(entry) >= limit; }));
  if (!kept) return view.end;
  known = FirstKept{kept->from, limit, value(*kept)};
  return kept->from;
}

absl::StatusOr<Offset> Maintenance::ExpiredTo(EmbeddedLog& log, const v1::StreamSettings& settings,
                                              const RetentionView& view, Look& look) {
  Offset to = view.start;
  if (const auto cutoff = AgeCutoff(settings, ages_.NowMs())) {
    const auto age = [](const Entry& entry) { return entry.append_ms; };
    SELVAGE_ASSIGN_OR_RETURN(const Offset kept, FindFirstKept(log, view, *cutoff, age, look.by_age));
    to = std::max(to, kept);
  } else {
    look.by_age.reset();
  }
  if (const auto cutoff = BytesCutoff(settings, view)) {
    const auto bytes = [](const Entry& entry) { return static_cast<int64_t>(entry.log_bytes); };
    SELVAGE_ASSIGN_OR_RETURN(
        const Offset kept, FindFirstKept(log, view, static_cast<int64_t>(*cutoff) + 1, bytes, look.by_bytes));
    to = std::max(to, kept);
  }
  return to;
}

absl::Status Maintenance::TrimLog(EmbeddedLog& log, const v1::StreamDefinition& definition, Look& look) {
  const RetentionView view = ViewOf(log, definition);
  if (!MayTrim(definition.settings(), view)) {
    look = {};
    return absl::OkStatus();
  }
  SELVAGE_ASSIGN_OR_RETURN(const Offset expired_to, ExpiredTo(log, definition.settings(), view, look));
  auto plan = PlanTrim(definition.settings(), view, expired_to);
  if (!plan) return absl::OkStatus();
  return log.Trim(plan->to, plan->unacknowledged_from, plan->reason);
}

void Maintenance::CountBeside(std::function<uint64_t()> bytes) {
  absl::MutexLock lock(&beside_mutex_);
  beside_ = std::move(bytes);
}

absl::Status Maintenance::Measure() {
  const uint64_t written = budget_.written();
  SELVAGE_ASSIGN_OR_RETURN(uint64_t file_bytes, store_.FileBytes());
  SELVAGE_ASSIGN_OR_RETURN(uint64_t free_bytes, store_.FreeBytes());
  {
    absl::MutexLock lock(&beside_mutex_);
    if (beside_) file_bytes += beside_();
  }
  budget_.Measured(file_bytes, free_bytes, written);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Maintenance::DropOldest(EmbeddedLog& log, const v1::StreamDefinition& definition,
                                                 uint64_t bytes) {
  const RetentionView view = ViewOf(log, definition);
  const uint64_t held = view.log_bytes - view.bytes_before_start;
  const uint64_t enough = view.bytes_before_start + std::max(bytes, held / kDropShare);
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> last, log.SearchNearStart([&](const Entry& entry) {
    return entry.log_bytes >= enough;
  }));
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
  if (const uint64_t catalog = catalog_.changes(); catalog != compact_catalog_seen_) {
    compact_catalog_seen_ = catalog;
    compact_changes_seen_ = 0;
  }
  for (const std::shared_ptr<Log>& log : logs_.ChangedSince(compact_changes_seen_))
    to_compact_.insert(log->number());
  std::vector<LogNumber> logs(to_compact_.begin(), to_compact_.end());
  // The one under way first.
  std::stable_partition(logs.begin(), logs.end(),
                        [&](LogNumber log) { return compaction_ && log == compacting_; });
  absl::Status first;
  size_t left = kCompactBytes;
  for (LogNumber number : logs) {
    if (compaction_ && number != compacting_) compaction_.reset();
    const absl::StatusOr<bool> more = CompactLog(number, left);
    first.Update(more.status());
    if (more.ok() && *more) return first;
    compaction_.reset();
    if (more.ok()) to_compact_.erase(number);
  }
  return first;
}

absl::StatusOr<bool> Maintenance::CompactLog(LogNumber number, size_t& bytes_left) {
  const std::shared_ptr<EmbeddedLog> log = logs_.FindEmbedded(number);
  if (log == nullptr) return false;
  const auto definition = catalog_.Find(log->origin().stream);
  const bool wanted = definition && IsCompacted(definition->settings()) && log->origin().edge.empty();
  if (!wanted || !log->held().ok() || log->superseded()) return false;
  if (compaction_ == nullptr) compaction_ = std::make_unique<LogCompaction>(log);
  compacting_ = number;
  SELVAGE_ASSIGN_OR_RETURN(const LogCompaction::Work work,
                           compaction_->Run(definition->settings(), ages_.NowMs(), bytes_left));
  if (work.freed > 0) {
    absl::MutexLock lock(&mutex_);
    compacted_[number] += work.freed;
  }
  if (work.read >= bytes_left) return true;
  bytes_left -= work.read;
  return false;
}

void Maintenance::CountTrimmed(LogNumber log, uint64_t bytes) {
  uint64_t& counted = trimmed_[log];
  trimmed_bytes_ += bytes - counted;
  counted = bytes;
  if (bytes == 0) trimmed_.erase(log);
}

uint64_t Maintenance::BytesToReclaim() {
  const std::vector<EmbeddedLogStore::DeletedLog> deleted = logs_.TakeDeleted();
  absl::MutexLock lock(&mutex_);
  for (const auto& [number, held] : deleted) {
    uint64_t bytes = held;
    if (const auto trimmed = trimmed_.find(number); trimmed != trimmed_.end()) bytes += trimmed->second;
    if (const auto compacted = compacted_.extract(number)) bytes += compacted.mapped();
    if (bytes > 0) deleted_[number] += bytes;
    reclaimed_.erase(number);
    CountTrimmed(number, 0);
  }
  for (const std::shared_ptr<Log>& log : logs_.ChangedSince(trims_seen_)) {
    const auto reclaimed = reclaimed_.find(log->number());
    CountTrimmed(log->number(),
                 log->state().bytes_before_start - (reclaimed == reclaimed_.end() ? 0 : reclaimed->second));
  }
  uint64_t bytes = trimmed_bytes_;
  for (const auto& [number, size] : deleted_) bytes += size;
  for (const auto& [number, size] : compacted_) bytes += size;
  return bytes;
}

bool Maintenance::WorthReclaiming(uint64_t bytes) const {
  if (bytes > 0 && (dropped_ || !budget_.has_room())) return true;
  return bytes > std::max(kReclaimMin, budget_.file_bytes() / kReclaimShare);
}

std::vector<Maintenance::Range> Maintenance::TakeRanges() {
  std::vector<Range> ranges;
  absl::MutexLock lock(&mutex_);
  dropped_ = false;
  for (const auto& [number, bytes] : std::exchange(deleted_, {}))
    ranges.push_back({number, Offset(INT64_MAX), bytes});
  for (const auto& [number, freed] : std::exchange(compacted_, {})) {
    const std::shared_ptr<EmbeddedLog> log = logs_.FindEmbedded(number);
    if (log != nullptr && freed > 0) ranges.push_back({number, log->compaction().to, freed});
  }
  trimmed_bytes_ = 0;
  for (const auto& [number, bytes] : std::exchange(trimmed_, {})) {
    const std::shared_ptr<EmbeddedLog> log = logs_.FindEmbedded(number);
    if (log == nullptr) continue;
    const LogState state = log->state();
    // What a leading gap stands for is gone as well.
    Offset to = state.start;
    auto first = log->Read(state.start, 1);
    if (first.ok() && !first->empty() && first->front().kind == EntryKind::kGap) to = first->front().to;
    ranges.push_back({number, to, state.bytes_before_start});
    reclaimed_[number] = state.bytes_before_start;
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
