#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/clock.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/fence_table.h"
#include "fabric/stream/log_store.h"
#include "fabric/stream/tail_cache.h"
#include "selvage/v1/store.pb.h"

namespace selvage {

/// What the logs of one node share. Everything must outlive them.
struct LogEnvironment {
  KvStore& store;
  Committer& committer;
  Clock& clock;
  TailCache& cache;
  DiskBudget& budget;
  FenceTable& fences;
};

/// A log in the node's own store. Appends pass through the committer; `staged_` is where the log will be when
/// everything in its queue is synced, `published_` where it is.
class EmbeddedLog : public Log {
 public:
  EmbeddedLog(LogEnvironment env, LogNumber number, LogOrigin origin, LogState state, std::optional<Offset> acknowledged,
              bool superseded);

  LogNumber number() const override { return number_; }
  const LogOrigin& origin() const override { return origin_; }
  LogState state() const override;
  bool superseded() const override;
  absl::Status Append(std::string batch, AppendDone done) override;
  absl::Status AppendReplica(ReplicaEntry entry, Fence fence, AppendDone done) override;
  absl::Status AppendGap(Offset to, GapReason reason, AppendDone done) override;
  absl::StatusOr<std::vector<Entry>> Read(Offset from, size_t max_bytes, bool from_disk) override;
  absl::StatusOr<LogPosition> BoundaryAtOrBefore(Offset offset) override;
  absl::StatusOr<std::optional<Entry>> FirstAtOrAfter(int64_t timestamp_ms) override;
  absl::Status Trim(Offset to, std::optional<Offset> unacknowledged_from, GapReason reason) override;
  absl::StatusOr<std::optional<Entry>> Search(const std::function<bool(const Entry&)>& wanted) override;
  std::optional<Offset> acknowledged() const override;
  void SetAcknowledged(Offset offset) override;
  int Watch(std::function<void()> advanced) override;
  void Unwatch(int handle) override;

  /// When the disk budget refuses an append, called once before it is refused for good: true when it dropped enough
  /// old entries that the append may use the reserve (streams with on_full drop_oldest).
  void set_make_room(std::function<bool(EmbeddedLog&, size_t bytes)> make_room) { make_room_ = std::move(make_room); }

  /// Stops appends and reads with this error, for good or until Release: the log recovered less than it acknowledged,
  /// is damaged, or was deleted.
  void Hold(absl::Status why);
  void Release();
  absl::Status held() const;

  /// Starts a new leader epoch at the current end; durable when it returns.
  absl::Status StartLeaderEpoch(LeaderEpoch epoch);
  /// Gives the log a new identity from its end (or `from`, a boundary) on: the history parted from the replica's
  /// there. Durable when it returns.
  absl::Status Branch(LogId id, const LogPosition& from);

  // For EmbeddedLogStore, while it stages its own tasks.
  v1::StoredLog Document() const;
  void set_superseded();
  /// Writes the document if what it says of acknowledgements changed since. Part of `batch`.
  void StageAcknowledged(WriteBatch& batch);

 private:
  friend class AppendTask;
  friend class TrimTask;

  struct Watcher {
    int handle;
    std::function<void()> advanced;
  };

  absl::Status AdmitBytes(size_t bytes);
  absl::StatusOr<std::unique_ptr<Cursor>> CursorAt(Offset offset);
  absl::StatusOr<std::optional<Entry>> EntryContaining(Offset offset);
  void StageEntry(WriteBatch& batch, Entry& entry);
  void StageDocument(WriteBatch& batch);
  /// Changes the staged state in the committer's queue and publishes it after the sync; `change` returns false when
  /// there is nothing to do.
  absl::Status ChangeState(const std::function<bool(LogState&)>& change);
  void Publish(const LogState& state);
  void PublishEntry(const Entry& entry, const LogState& state);

  const LogEnvironment env_;
  const LogNumber number_;
  const LogOrigin origin_;
  std::function<bool(EmbeddedLog&, size_t)> make_room_;

  LogState staged_;  // the committer's alone

  mutable absl::Mutex mutex_;
  LogState published_ ABSL_GUARDED_BY(mutex_);
  absl::Status held_ ABSL_GUARDED_BY(mutex_);
  std::optional<Offset> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::optional<Offset> acknowledged_stored_ ABSL_GUARDED_BY(mutex_);
  bool superseded_ ABSL_GUARDED_BY(mutex_) = false;

  absl::Mutex watch_mutex_;
  std::vector<Watcher> watchers_ ABSL_GUARDED_BY(watch_mutex_);
  int next_watcher_ ABSL_GUARDED_BY(watch_mutex_) = 1;
};

}  // namespace selvage
