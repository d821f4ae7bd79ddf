#include <algorithm>

#include "absl/time/time.h"
#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/embedded_log.h"
#include "fabric/stream/meta_keys.h"

namespace selvage {

/// Moves the start of a log behind `last_dropped`, or to the gap that stands for what was not acknowledged.
class TrimTask : public CommitTask {
 public:
  TrimTask(EmbeddedLog& log, Entry last_dropped, std::optional<Entry> gap)
      : log_(log), last_dropped_(std::move(last_dropped)), gap_(std::move(gap)) {}

  size_t ByteSize() const override { return 256; }

  absl::Status Stage(WriteBatch& batch) override {
    SELVAGE_RETURN_IF_ERROR(log_.held());
    log_.StageTrim(batch, last_dropped_, gap_);
    after_ = log_.staged_;
    return absl::OkStatus();
  }

  void Finish(const absl::Status& status) override {
    if (!status.ok()) return;
    if (gap_) log_.env_.cache.Forget(log_.number_);  // cached entries must not contradict the gap
    log_.Publish(after_);
  }

 private:
  EmbeddedLog& log_;
  const Entry last_dropped_;
  const std::optional<Entry> gap_;
  LogState after_;
};

void EmbeddedLog::StageTrim(WriteBatch& batch, const Entry& last_dropped, const std::optional<Entry>& gap) {
  LogState& state = staged_;
  batch.DeleteRange(Family::kLog, LogKey(number_, state.start), LogKey(number_, last_dropped.to));
  batch.DeleteRange(Family::kMeta, GapIndexKey(number_, state.start), GapIndexKey(number_, last_dropped.to));
  if (gap) {
    batch.Put(Family::kLog, LogKey(number_, gap->from), {EncodeEntryHeader(*gap), gap->body.view()});
    batch.Put(Family::kMeta, GapIndexKey(number_, gap->from), {gap->body.view()});
  }
  state.bytes_before_start = last_dropped.log_bytes;
  state.start = gap ? gap->from : last_dropped.to;
  state.start_hash = gap ? gap->hash_before : last_dropped.hash_after;
  start_to_be_ = state.start.value();
  ForgetDamage(Offset(0), last_dropped.to);
  StageDocument(batch);
}

/// The last entry that ends at `to` or before it; nothing when the one at `start` ends behind.
absl::StatusOr<std::optional<Entry>> EmbeddedLog::LastEntryWithin(Offset start, Offset to) const {
  // What is damaged may reach over an entry that can be read by itself, so one step back may not be enough.
  for (Offset probe = to; probe > start;) {
    SELVAGE_ASSIGN_OR_RETURN(Entry entry, EntryOrStandIn(probe - 1));
    if (entry.to <= to) return entry;
    probe = entry.from;
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<EmbeddedLog::TrimPlan>> EmbeddedLog::PlanTrim(
    Offset to, std::optional<Offset> unacknowledged_from, GapReason reason) const {
  const LogState state = this->state();
  to = std::min(to, state.end);
  if (to <= state.start) return std::nullopt;
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> within, LastEntryWithin(state.start, to));
  if (!within) return std::nullopt;
  Entry last = *std::move(within);
  if (!unacknowledged_from || *unacknowledged_from >= last.to) return TrimPlan{std::move(last), std::nullopt};

  SELVAGE_ASSIGN_OR_RETURN(const Entry first, EntryOrStandIn(std::max(state.start, *unacknowledged_from)));
  if (first.kind == EntryKind::kGap && first.to == last.to && !IsStandIn(first)) {
    // What was not acknowledged is a gap already; only what lies before it goes.
    SELVAGE_ASSIGN_OR_RETURN(within, LastEntryWithin(state.start, first.from));
    if (!within) return std::nullopt;
    return TrimPlan{*std::move(within), std::nullopt};
  }
  // The gap's header says of it what the last entry's said, so that what runs along the log goes on.
  Entry gap = last;
  gap.kind = EntryKind::kGap;
  gap.from = first.from;
  gap.hash_before = first.hash_before;
  gap.body = Bytes(EncodeGap({.from = gap.from,
                              .to = gap.to,
                              .reason = reason,
                              .leader_epoch = state.LeaderEpochBefore(gap.to),
                              .hash_after = gap.hash_after,
                              .recorded_ms = absl::ToUnixMillis(env_.clock.Wall())}));
  return TrimPlan{std::move(last), std::move(gap)};
}

absl::Status EmbeddedLog::Trim(Offset to, std::optional<Offset> unacknowledged_from, GapReason reason) {
  absl::MutexLock lock(&trim_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(auto plan, PlanTrim(to, unacknowledged_from, reason));
  if (!plan) return absl::OkStatus();
  return CommitAndWait(
      env_.committer, std::make_unique<TrimTask>(*this, std::move(plan->last_dropped), std::move(plan->gap)));
}

absl::Status EmbeddedLog::DeleteRecords(Offset to) {
  if (Planted(Canary::kDeleteBeforeSync)) {
    LogState hidden = state();
    staged_.deleted_to = hidden.deleted_to = std::max(hidden.deleted_to, std::min(to, hidden.end));
    Publish(hidden);
    return absl::OkStatus();
  }
  // First what readers see: entries that a crash leaves behind are hidden by then.
  SELVAGE_RETURN_IF_ERROR(ChangeState([&](LogState& state) {
    state.deleted_to = std::max(state.deleted_to, std::min(to, state.end));
    return absl::OkStatus();
  }));
  return Trim(to, std::nullopt, GapReason::kExpired);
}

}  // namespace selvage
