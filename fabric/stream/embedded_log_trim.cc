#include <algorithm>

#include "absl/time/time.h"
#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/embedded_log.h"
#include "fabric/stream/meta_keys.h"

namespace selvage {

namespace {

class TrimTask : public CommitTask {
 public:
  /// The log outlives it: whoever trims waits.
  TrimTask(StagedLog& log, Entry last_dropped, std::optional<Entry> gap)
      : log_(log), last_dropped_(std::move(last_dropped)), gap_(std::move(gap)) {}

  size_t ByteSize() const override { return 256; }

  absl::Status Stage(WriteBatch& batch) override {
    SELVAGE_RETURN_IF_ERROR(log_.held());
    log_.StageTrim(batch, last_dropped_, gap_);
    after_ = log_.state();
    return absl::OkStatus();
  }

  void Finish(const absl::Status& status) override {
    if (!status.ok()) return;
    if (gap_) log_.ForgetCached();
    log_.Publish(after_);
  }

 private:
  StagedLog& log_;
  const Entry last_dropped_;
  const std::optional<Entry> gap_;
  LogState after_;
};

/// What a trim does to a log as it is now.
struct LogCut {
  Entry last_dropped;
  std::optional<Entry> gap;  ///< what stands for what was not acknowledged
};

/// The last entry that ends at `to` or before it; nothing when the one at `start` ends behind.
absl::StatusOr<std::optional<Entry>> LastEntryWithin(const LogReader& reader, Offset start, Offset to) {
  // What is damaged may reach over an entry that can be read by itself, so one step back may not be enough.
  for (Offset probe = to; probe > start;) {
    SELVAGE_ASSIGN_OR_RETURN(Entry entry, reader.EntryOrStandIn(probe - 1));
    if (entry.to <= to) return entry;
    probe = entry.from;
  }
  return std::nullopt;
}

/// Nothing where no entry goes.
absl::StatusOr<std::optional<LogCut>> PlanCut(const LogReader& reader, const LogState& state, Offset to,
                                              std::optional<Offset> unacknowledged_from, GapReason reason,
                                              int64_t now_ms) {
  to = std::min(to, state.end);
  if (to <= state.start) return std::nullopt;
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> within, LastEntryWithin(reader, state.start, to));
  if (!within) return std::nullopt;
  Entry last = *std::move(within);
  if (!unacknowledged_from || *unacknowledged_from >= last.to) return LogCut{std::move(last), std::nullopt};

  SELVAGE_ASSIGN_OR_RETURN(const Entry first,
                           reader.EntryOrStandIn(std::max(state.start, *unacknowledged_from)));
  if (first.kind == EntryKind::kGap && first.to == last.to && !IsStandIn(first)) {
    // What was not acknowledged is a gap already; only what lies before it goes.
    SELVAGE_ASSIGN_OR_RETURN(within, LastEntryWithin(reader, state.start, first.from));
    if (!within) return std::nullopt;
    return LogCut{*std::move(within), std::nullopt};
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
                              .recorded_ms = now_ms}));
  return LogCut{std::move(last), std::move(gap)};
}

}  // namespace

absl::Status EmbeddedLog::Trim(Offset to, std::optional<Offset> unacknowledged_from, GapReason reason) {
  absl::MutexLock lock(&trim_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(auto cut, PlanCut(reader_, state(), to, unacknowledged_from, reason,
                                             absl::ToUnixMillis(env_.clock.Wall())));
  if (!cut) return absl::OkStatus();
  return CommitAndWait(
      env_.committer, std::make_unique<TrimTask>(staged_, std::move(cut->last_dropped), std::move(cut->gap)));
}

absl::Status EmbeddedLog::DeleteRecords(Offset to) {
  if (Planted(Canary::kDeleteBeforeSync)) {
    LogState hidden = state();
    hidden.deleted_to = std::max(hidden.deleted_to, std::min(to, hidden.end));
    const std::unique_ptr<WriteBatch> never_written = env_.store.NewBatch();
    staged_.StageChange(*never_written, [&](LogState& state) { state.deleted_to = hidden.deleted_to; });
    published_.Publish(hidden);
    return absl::OkStatus();
  }
  // First what readers see: entries that a crash leaves behind are hidden by then.
  SELVAGE_RETURN_IF_ERROR(CommitChange([&](WriteBatch& batch) {
    staged_.StageChange(batch, [&](LogState& state) {
      state.deleted_to = std::max(state.deleted_to, std::min(to, state.end));
    });
  }));
  return Trim(to, std::nullopt, GapReason::kExpired);
}

}  // namespace selvage
