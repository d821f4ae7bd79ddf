#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/stream/compactor.h"
#include "fabric/stream/damaged_ranges.h"
#include "fabric/stream/log_environment.h"
#include "fabric/stream/log_reader.h"
#include "fabric/stream/log_repair.h"
#include "fabric/stream/log_store.h"
#include "fabric/stream/published_log.h"
#include "fabric/stream/staged_log.h"

namespace selvage {

/// A log in the node's own store, in four parts: PublishedLog is what is synced, StagedLog what will be when
/// everything in the committer's queue is, LogReader reads entries, and DamagedRanges is what it could not
/// read. Here are the tasks that change it, each kind with all that it needs in a file of its own:
/// embedded_log_append.cc, embedded_log_trim.cc, embedded_log_compact.cc, embedded_log_repair.cc.
///
/// Trim, DeleteRecords, Quarantine, CompactPiece, StoreCompaction, StartLeaderEpoch and AcceptLoss wait for
/// the committer, and so may Append and AppendReplica when they have to make room: never call them from a
/// callback that runs on its thread. Lock order: trim_mutex_, then those of the parts.
///
/// Always held by shared pointers, made by EmbeddedLogStore; a task that waits in the committer holds its
/// log. The destructor may run on any thread and under anybody's lock: it neither waits nor takes a lock.
class EmbeddedLog : public Log, public LogRepair, public std::enable_shared_from_this<EmbeddedLog> {
 public:
  /// `changes` must outlive the log.
  EmbeddedLog(const LogEnvironment& env, LogChanges& changes, LogNumber number, LogOrigin origin,
              const LogState& state, std::optional<Offset> acknowledged, bool superseded);

  LogNumber number() const override { return published_.number(); }
  const LogOrigin& origin() const override { return published_.origin(); }
  LogState state() const override { return published_.state(); }
  Offset end() const override { return published_.end(); }
  bool superseded() const override { return published_.superseded(); }
  absl::Status held() const override { return published_.held(); }
  absl::Status Append(std::string&& batch, ProduceDone done) override;
  absl::Status AppendReplica(FlowEntry entry, Fence fence, AppendDone done) override;
  absl::Status AppendGap(Offset to, GapReason reason, AppendDone done) override;
  absl::StatusOr<std::vector<Entry>> Read(Offset from, size_t max_bytes, bool from_disk = false) override {
    return reader_.Read(from, max_bytes, from_disk);
  }
  absl::StatusOr<LogPosition> BoundaryAtOrBefore(Offset offset) override {
    return reader_.BoundaryAtOrBefore(offset);
  }
  using Log::FirstRecordAtOrAfter;
  absl::StatusOr<std::optional<RecordTime>> FirstRecordAtOrAfter(
      int64_t timestamp_ms, const std::function<bool()>& cancelled) override {
    return reader_.FirstRecordAtOrAfter(timestamp_ms, cancelled);
  }
  absl::Status DeleteRecords(Offset to) override;
  absl::StatusOr<std::optional<Entry>> Search(const std::function<bool(const Entry&)>& wanted) override {
    return reader_.Search(wanted);
  }
  /// As Search, with few reads where the entry is near the start.
  absl::StatusOr<std::optional<Entry>> SearchNearStart(
      const std::function<bool(const Entry&)>& wanted) const {
    return reader_.SearchNearStart(wanted);
  }
  std::optional<Offset> acknowledged() const override { return published_.acknowledged(); }
  void SetAcknowledged(Offset offset) override { published_.SetAcknowledged(offset); }
  int Watch(std::function<void()> advanced) override { return published_.Watch(std::move(advanced)); }
  void Unwatch(int handle) override { published_.Unwatch(handle); }

  LogRepair* repair() override { return this; }
  std::vector<LogDamage> damages() const override { return damaged_.All(); }
  bool has_damage() const override { return !damaged_.empty(); }
  absl::StatusOr<std::optional<LogDamage>> FindDamage(Offset offset) override;
  absl::Status Quarantine(Offset offset) override;
  absl::Status Replace(std::vector<FlowEntry> entries, Fence fence, AppendDone done) override;

  /// Forgets everything before `to`, or before the last entry boundary in front of it. What lies at or after
  /// `unacknowledged_from` stays accounted for as a gap with `reason`; without it nothing is left behind.
  /// Raises `start` only. For example:
  ///
  ///   offset                           0     3     5       10  11      15
  ///   held                             |--a--|--b--|---c---|-d-|---e---|
  ///   Trim(9, nothing)                             |---c---|-d-|---e---|
  ///   or Trim(10, 3, dropped_for_space)      |-----gap-----|-d-|---e---|
  ///   then Trim(11, 3, ...)                  |-------gap-------|---e---|
  ///   then Trim(11, 11, ...)                                   |---e---|
  ///
  /// The first is cut at 5, since 9 lies inside of c. The replica holds a in the second: b and c become one
  /// gap, which grows over d in the third. When the replica has stored the gap it goes, as any entry.
  absl::Status Trim(Offset to, std::optional<Offset> unacknowledged_from, GapReason reason);

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
  CompactionState compaction() const { return published_.compaction(); }
  /// Durable when it returns.
  absl::Status StoreCompaction(const CompactionState& state);

  /// When the disk budget refuses an append, called once before it is refused for good: admits it when enough
  /// old entries could be dropped (streams with on_full drop_oldest).
  using MakeRoom = std::function<std::optional<DiskCharge>(EmbeddedLog&, size_t bytes)>;
  /// Set before the first append.
  void set_make_room(MakeRoom make_room) { make_room_ = std::move(make_room); }

  /// Stops appends, reads and trims with this error until AcceptLoss: the log recovered less than it
  /// acknowledged, or is damaged.
  void Hold(absl::Status why) { published_.Hold(std::move(why)); }
  /// Stops them for good: the log was deleted. Watchers are told, and forgotten, since nothing happens here
  /// any more: what they hold must not keep this log.
  void Close(absl::Status why) { published_.Close(std::move(why)); }

  /// Forgets the idempotent producers that wrote last before `before_ms` (by the age clock).
  absl::Status ForgetIdleProducers(int64_t before_ms);
  /// No producer wrote last before this (by the age clock); INT64_MAX without producers.
  int64_t idlest_producer_ms() const { return staged_.producers().idlest_ms(); }

  /// Starts a new leader epoch at the current end; durable when it returns.
  absl::Status StartLeaderEpoch(LeaderEpoch epoch);
  /// Ends the hold. As the source: what lies between the end and `lost_to` becomes a gap and a new leader
  /// epoch begins, without what was known of producers: they begin anew. As a replica (nothing): the log goes
  /// on at its end and gets the rest again from its source. Durable when it returns.
  absl::Status AcceptLoss(std::optional<Offset> lost_to);

  /// For tasks of the store that are about several logs, and while it opens.
  StagedLog& staging() { return staged_; }
  void LoadCompaction(const v1::StoredCompaction& stored) { published_.LoadCompaction(stored); }

  /// Names the first broken rule of this state; for tests (fabric/base/invariant.h). On the committer's
  /// thread, or while it stands still.
  absl::Status CheckInvariants() const;

 private:
  /// For a task that may outlive the call; it keeps the log.
  std::shared_ptr<StagedLog> SharedStaging() { return {shared_from_this(), &staged_}; }
  absl::StatusOr<DiskCharge> AdmitBytes(size_t bytes);
  /// Commits what `stage` does to the staged state, with the document.
  absl::Status CommitChange(const std::function<void(WriteBatch&)>& stage);

  const LogEnvironment env_;
  MakeRoom make_room_;
  PublishedLog published_;
  DamagedRanges damaged_;
  StagedLog staged_;
  const LogReader reader_;
  absl::Mutex trim_mutex_;  // one trim at a time, since each is planned on what is there
};

}  // namespace selvage
