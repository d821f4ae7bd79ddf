#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/damaged_ranges.h"
#include "fabric/stream/log_environment.h"
#include "fabric/stream/producer_table.h"
#include "fabric/stream/published_log.h"

namespace selvage {

/// A log as it will be when everything in the committer's queue is synced, and all that a task in that queue
/// may do to it. While it is staged (CommitTask::Stage) a task checks what it needs and stages a change, and
/// keeps state() as it is then; after the sync (CommitTask::Finish) it publishes that:
///
///   task           Stage: state() here     Finish: published
///   append         [0, 3) -> [0, 5)
///   trim to 3      [0, 5) -> [3, 5)
///                        one write, one sync of all of them
///   append                                 [0, 5)
///   trim to 3                              [3, 5)
///
/// For the committer's thread, but for what says otherwise.
class StagedLog {
 public:
  /// `published` and `damaged` are of the same log; all must outlive this.
  StagedLog(const LogEnvironment& env, PublishedLog& published, DamagedRanges& damaged, LogState state)
      : env_(env),
        published_(published),
        damaged_(damaged),
        state_(std::move(state)),
        producers_(published.number()) {}

  LogNumber number() const { return published_.number(); }
  const LogOrigin& origin() const { return published_.origin(); }
  const LogState& state() const { return state_; }
  ProducerTable& producers() { return producers_; }
  const ProducerTable& producers() const { return producers_; }

  // Whether a task may go on.
  /// See Log::held. From any thread.
  absl::Status held() const { return published_.held(); }
  /// See PublishedLog. From any thread.
  absl::Status CheckAppendable() const { return published_.CheckAppendable(); }
  /// "stale_session" when a newer session of the peer has begun.
  absl::Status CheckFence(const Fence& fence) const;
  /// Whether the log may go on as another store's; see LogStore::AdoptAll.
  absl::Status CheckAdoptable() const;

  // Changes, each a part of `batch`.
  /// A gap from the end to `to`, to be staged as an entry.
  Entry GapFromEnd(Offset to, GapReason reason) const;
  /// A batch at the end, stamped with its offset, to be staged as an entry: of the log's own source.
  Entry SourceEntry(std::string batch) const;
  /// Appends an entry whose offsets, body and hashes are complete, and completes its header.
  void StageEntry(WriteBatch& batch, Entry& entry);
  /// Moves the start behind `last_dropped`, or to the gap that stands for what was not acknowledged.
  void StageTrim(WriteBatch& batch, const Entry& last_dropped, const std::optional<Entry>& gap);
  /// Puts `entries` in place of the beginning of a damaged range, or of all of it; errors, with nothing
  /// staged: those of DamagedRanges::Fill.
  absl::Status StageRepair(WriteBatch& batch, std::vector<Entry>& entries);
  /// Changes what the document says of the state.
  void StageChange(WriteBatch& batch, const std::function<void(LogState&)>& change);
  void StageCompaction(WriteBatch& batch, const CompactionState& compaction);
  /// See EmbeddedLog::AcceptLoss.
  void StageLossAccepted(WriteBatch& batch, std::optional<Offset> lost_to);
  /// Gives the log a new identity from `from` on; see LogStore::BranchAll.
  void StageBranch(WriteBatch& batch, LogId id, const LogPosition& from);
  /// Begins at `at`, under its id, in `epoch`.
  void StageAdopt(WriteBatch& batch, const LogPosition& at, LeaderEpoch epoch);
  /// Another log took this one's place, or it is the current one again; seen at once.
  void StageSuperseded(WriteBatch& batch, bool superseded);
  /// Stores what was acknowledged if that changed since.
  void StageAcknowledged(WriteBatch& batch);
  /// Whether that would store anything. From any thread.
  bool AcknowledgedChanged() const { return published_.AcknowledgedChanged(); }
  /// The document, to be stored now.
  v1::StoredLog Document();
  void StageDocument(WriteBatch& batch);

  // After the sync.
  void Publish(const LogState& state) { published_.Publish(state); }
  /// Publishes, and tells those who watch the end.
  void PublishToWatchers(const LogState& state);
  /// Publishes the state with the entry that led to it.
  void PublishEntry(const Entry& entry, const LogState& state);
  /// Publishes, and ends the hold.
  void Release(const LogState& state);
  /// Entries in the store changed in place: those in the cache must not contradict them.
  void ForgetCached() { env_.cache.Forget(number()); }
  /// What was damaged is whole.
  void PublishRepaired();

 private:
  const LogEnvironment env_;
  PublishedLog& published_;
  DamagedRanges& damaged_;
  LogState state_;
  ProducerTable producers_;
};

}  // namespace selvage
