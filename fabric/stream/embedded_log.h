#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/clock.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/age_clock.h"
#include "fabric/stream/compactor.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/fence_table.h"
#include "fabric/stream/log_changes.h"
#include "fabric/stream/log_damage.h"
#include "fabric/stream/log_store.h"
#include "fabric/stream/producer_table.h"
#include "fabric/stream/tail_cache.h"
#include "selvage/v1/store.pb.h"

namespace selvage {

/// What the logs of one node share. Everything must outlive the store of the logs, and thereby them.
struct LogEnvironment {
  KvStore& store;
  Committer& committer;
  Clock& clock;
  TailCache& cache;
  DiskBudget& budget;
  FenceTable& fences;
};

/// How far a log was compacted; see LogCompaction.
struct CompactionState {
  Offset to;                  ///< the last pass ended here
  uint64_t counted_to = 0;    ///< Entry::log_bytes there
  uint64_t kept_bytes = 0;    ///< body bytes that it left
  Offset tombstones_to;       ///< records without a value before this were all met by a pass
  int64_t tombstones_ms = 0;  ///< by this time, of the age clock
};

/// A log in the node's own store. Appends pass through the committer; `staged_` is where the log will be when
/// everything in its queue is synced, `published_` where it is. Reading is in embedded_log_read.cc, trimming
/// in embedded_log_trim.cc, compacting in embedded_log_compact.cc, making damaged ranges whole in
/// embedded_log_repair.cc.
///
/// Trim, DeleteRecords, Quarantine, CompactPiece, StoreCompaction, StartLeaderEpoch and AcceptLoss wait for
/// the committer, and so may Append and AppendReplica when they have to make room: never call them from a
/// callback that runs on its thread. Lock order: trim_mutex_, then watch_mutex_, then mutex_.
///
/// Always held by shared pointers, made by EmbeddedLogStore; a task that waits in the committer holds its
/// log. The destructor may run on any thread and under anybody's lock: it neither waits nor takes a lock.
class EmbeddedLog : public Log, public std::enable_shared_from_this<EmbeddedLog> {
 public:
  /// `ages` and `changes` must outlive the log.
  EmbeddedLog(LogEnvironment env, AgeClock& ages, LogChanges& changes, LogNumber number, LogOrigin origin,
              LogState state, std::optional<Offset> acknowledged, bool superseded);

  LogNumber number() const override { return number_; }
  const LogOrigin& origin() const override { return origin_; }
  LogState state() const override;
  Offset end() const override;
  bool superseded() const override;
  absl::Status Append(std::string&& batch, ProduceDone done) override;
  /// Room in the commit queue that Append takes for a batch of this size.
  static size_t QueueBytesOf(size_t batch_bytes);
  absl::Status AppendReplica(FlowEntry entry, Fence fence, AppendDone done) override;
  absl::Status AppendGap(Offset to, GapReason reason, AppendDone done) override;
  absl::StatusOr<std::vector<Entry>> Read(Offset from, size_t max_bytes, bool from_disk = false) override;
  absl::StatusOr<LogPosition> BoundaryAtOrBefore(Offset offset) override;
  using Log::FirstRecordAtOrAfter;
  absl::StatusOr<std::optional<RecordTime>> FirstRecordAtOrAfter(
      int64_t timestamp_ms, const std::function<bool()>& cancelled) override;
  absl::Status Trim(Offset to, std::optional<Offset> unacknowledged_from, GapReason reason) override;
  absl::Status DeleteRecords(Offset to) override;
  absl::StatusOr<std::optional<Entry>> Search(const std::function<bool(const Entry&)>& wanted) override;
  /// The same, with few reads where the entry is near the start.
  absl::StatusOr<std::optional<Entry>> SearchNearStart(const std::function<bool(const Entry&)>& wanted);
  std::optional<Offset> acknowledged() const override;
  void SetAcknowledged(Offset offset) override;
  int Watch(std::function<void()> advanced) override;
  void Unwatch(int handle) override;

  /// The ranges that readers found damaged and that are not whole again, by offset. What nobody read since
  /// the start is not known.
  std::vector<LogDamage> damages() const;
  bool has_damage() const;
  /// Reads at `offset` again: the damaged range that contains it, if it still is one.
  absl::StatusOr<std::optional<LogDamage>> FindDamage(Offset offset);
  /// Puts a gap (GapReason::kCorrupt) in place of the damaged range that contains `offset`; readers go on
  /// behind it. Durable when it returns. Does nothing when the range can be read after all. Error:
  /// "range_changed" (a retry helps) when something else took its place meanwhile.
  absl::Status Quarantine(Offset offset);
  /// Puts `entries` in place of the beginning of a damaged range, or of all of it, without a change to what
  /// lies before and behind. All or nothing; `done` as for appends, with the position behind the last one.
  /// Refused, with nothing written: "range_changed" when no damaged range begins with them, "chain_mismatch"
  /// when they do not lead from the hash before it to the hash after it, "corrupt_batch"/"corrupt_gap",
  /// "stale_session" (fenced).
  absl::Status Replace(std::vector<FlowEntry> entries, Fence fence, AppendDone done);

  struct CompactedPiece {
    Offset next;            ///< where to go on
    size_t bytes_read = 0;  ///< of bodies
    size_t bytes_kept = 0;
  };
  /// Puts what `rewrite` makes of them in place of batches from `from` up to `to`, about `max_bytes` of them.
  /// Where nothing stays there is one gap (GapReason::kCompacted) up to the next batch that does. Offsets and
  /// chain hashes between entries stay, and so does whatever `rewrite` changes nothing of. All or nothing,
  /// durable when it returns; readers see the old entries or the new ones.
  absl::StatusOr<CompactedPiece> CompactPiece(
      Offset from, Offset to, size_t max_bytes,
      const std::function<absl::StatusOr<CompactedBatch>(const Entry&)>& rewrite);
  CompactionState compaction() const;
  /// Durable when it returns.
  absl::Status StoreCompaction(const CompactionState& state);

  /// True for a log that never held an entry.
  bool never_written() const;

  /// When the disk budget refuses an append, called once before it is refused for good: admits it when enough
  /// old entries could be dropped (streams with on_full drop_oldest).
  using MakeRoom = std::function<std::optional<DiskCharge>(EmbeddedLog&, size_t bytes)>;
  /// Set before the first append.
  void set_make_room(MakeRoom make_room) { make_room_ = std::move(make_room); }

  /// Stops appends, reads and trims with this error until AcceptLoss: the log recovered less than it
  /// acknowledged, or is damaged.
  void Hold(absl::Status why);
  /// Stops them for good: the log was deleted. Watchers are told, and forgotten, since nothing happens here
  /// any more: what they hold must not keep this log.
  void Close(absl::Status why);
  absl::Status held() const;

  /// Forgets the idempotent producers that wrote last before `before_ms` (by the age clock).
  absl::Status ForgetIdleProducers(int64_t before_ms);
  /// No producer wrote last before this (by the age clock); INT64_MAX without producers.
  int64_t idlest_producer_ms() const { return producers_.idlest_ms(); }

  /// Starts a new leader epoch at the current end; durable when it returns.
  absl::Status StartLeaderEpoch(LeaderEpoch epoch);
  /// Ends the hold. As the source: what lies between the end and `lost_to` becomes a gap and a new leader
  /// epoch begins, without what was known of producers: they begin anew. As a replica (nothing): the log goes
  /// on at its end and gets the rest again from its source. Durable when it returns.
  absl::Status AcceptLoss(std::optional<Offset> lost_to);

  // For EmbeddedLogStore, while it opens or stages its own tasks.
  void LoadCompaction(const v1::StoredCompaction& stored);
  /// What the store holds of a producer. False when it is damaged.
  bool LoadProducer(int64_t producer, std::string_view value) { return producers_.Load(producer, value); }
  /// The document, to be stored now.
  v1::StoredLog Document();
  void set_superseded(bool superseded);
  /// Writes the document if what it says of acknowledgements changed since. Part of `batch`.
  void StageAcknowledged(WriteBatch& batch);
  /// Whether it would write anything.
  bool AcknowledgedChanged() const;
  /// Gives the log a new identity from `from` on; see EmbeddedLogStore::BranchAll. The state to publish
  /// afterwards.
  LogState StageBranch(WriteBatch& batch, LogId id, const LogPosition& from);
  /// Whether the log may go on as another store's; see EmbeddedLogStore::AdoptAll.
  absl::Status CheckAdoptable() const;
  /// Begins at `at`, under its id, in `epoch`. The state to publish afterwards.
  LogState StageAdopt(WriteBatch& batch, const LogPosition& at, LeaderEpoch epoch);
  void Publish(const LogState& state);
  void NotifyWatchers();

 private:
  friend class AppendTask;
  friend class CompactTask;
  friend class RepairTask;
  friend class TrimTask;

  struct Watcher {
    int handle;
    std::function<void()> advanced;
  };

  bool closed() const;
  absl::StatusOr<DiskCharge> AdmitBytes(size_t bytes);
  /// Error when nothing may be appended: held, or "log_closed" for a superseded log.
  absl::Status CheckAppendable() const;
  /// "stale_session" when a newer session of the peer has begun. In the committer.
  absl::Status CheckFence(const Fence& fence) const;
  void StageEntry(WriteBatch& batch, Entry& entry);
  void StageTrim(WriteBatch& batch, const Entry& last_dropped, const std::optional<Entry>& gap);
  void StageDocument(WriteBatch& batch);
  LogState StageLossAccepted(WriteBatch& batch, std::optional<Offset> lost_to);
  /// Changes the staged state in the committer's queue and publishes it after the sync.
  absl::Status ChangeState(const std::function<absl::Status(LogState&)>& change);

  absl::StatusOr<std::optional<Entry>> SearchFrom(bool near_start,
                                                  const std::function<bool(const Entry&)>& wanted);
  std::unique_ptr<Cursor> NewCursor() const;
  /// The entry that contains `offset`, which is in [start, end), or the damage that does; it is remembered.
  /// Error: "offset_out_of_range" when it was trimmed meanwhile.
  absl::StatusOr<std::variant<Entry, LogDamage>> Find(Offset offset) const;
  /// The same where a quick look failed.
  absl::StatusOr<std::variant<Entry, LogDamage>> FindDamaged(Offset offset) const;
  /// The same; "corrupt_entry" for damage.
  absl::StatusOr<Entry> EntryContaining(Offset offset) const;
  /// The same; a stand-in for damage.
  absl::StatusOr<Entry> EntryOrStandIn(Offset offset) const;
  std::vector<Entry> ReadForward(Offset from, Offset end, size_t max_bytes) const;
  absl::Status OutOfRange(Offset offset, const LogState& state) const;
  absl::Status Damaged(const LogDamage& damage) const;
  void NoteDamage(const LogDamage& damage) const;
  void ForgetDamage(Offset from, Offset to) const;
  /// Makes `entries` what they must be to follow one another in a damaged range, and stages them.
  absl::Status StageRepair(WriteBatch& batch, std::vector<Entry>& entries);
  struct TrimPlan {
    Entry last_dropped;
    std::optional<Entry> gap;
  };
  absl::StatusOr<std::optional<Entry>> LastEntryWithin(Offset start, Offset to) const;
  absl::StatusOr<std::optional<TrimPlan>> PlanTrim(Offset to, std::optional<Offset> unacknowledged_from,
                                                   GapReason reason) const;

  const LogEnvironment env_;
  AgeClock& ages_;
  LogChanges& changes_;
  const LogNumber number_;
  const LogOrigin origin_;
  MakeRoom make_room_;

  LogState staged_;  // the committer's alone
  ProducerTable producers_;
  /// The start that a trim under way is about to publish: what lies before it may be gone from the store
  /// already.
  std::atomic<int64_t> start_to_be_;

  absl::Mutex trim_mutex_;  // one trim at a time, since each is planned on what is there
  mutable absl::Mutex mutex_;
  LogState published_ ABSL_GUARDED_BY(mutex_);
  absl::Status held_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Offset> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::optional<Offset> acknowledged_stored_ ABSL_GUARDED_BY(mutex_);
  bool superseded_ ABSL_GUARDED_BY(mutex_) = false;
  CompactionState compaction_ ABSL_GUARDED_BY(mutex_);
  /// By `from`; no two overlap. What the committer stages takes effect here at once.
  mutable std::map<Offset, LogDamage> damages_ ABSL_GUARDED_BY(mutex_);

  absl::Mutex watch_mutex_;
  std::vector<Watcher> watchers_ ABSL_GUARDED_BY(watch_mutex_);
  int next_watcher_ ABSL_GUARDED_BY(watch_mutex_) = 1;

 public:
  /// Names the first broken rule of this state; for tests (fabric/base/invariant.h). On the committer's
  /// thread, or while it stands still.
  absl::Status CheckInvariants() const;
};

}  // namespace selvage
