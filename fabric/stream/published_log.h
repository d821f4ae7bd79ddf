#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "fabric/stream/log_changes.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/store.pb.h"

namespace selvage {

/// How far a log was compacted; see LogCompaction.
struct CompactionState {
  Offset to;                  ///< the last pass ended here
  uint64_t counted_to = 0;    ///< Entry::log_bytes there
  uint64_t kept_bytes = 0;    ///< body bytes that it left
  Offset tombstones_to;       ///< records without a value before this were all met by a pass
  int64_t tombstones_ms = 0;  ///< by this time, of the age clock
};

/// What everybody may rely on of a log, beside its entries: the synced state, what is remembered with it, and
/// who waits for news. The committer publishes the state here after the sync (StagedLog). Safe to use from
/// several threads. Lock order: watch_mutex_, then mutex_.
class PublishedLog {
 public:
  /// `changes` must outlive this; it is told of what it counts as a change.
  PublishedLog(LogChanges& changes, LogNumber number, LogOrigin origin, LogState state,
               std::optional<Offset> acknowledged, bool superseded);

  LogNumber number() const { return number_; }
  const LogOrigin& origin() const { return origin_; }

  LogState state() const;
  Offset end() const;
  void Publish(const LogState& state);
  /// What lies before it may be gone from the store already: a trim takes entries out a moment before it
  /// publishes the new start.
  Offset start_to_be() const { return Offset(start_to_be_); }
  void set_start_to_be(Offset start) { start_to_be_ = start.value(); }

  /// Why nothing may be done with the log; see Log::held.
  absl::Status held() const;
  /// Nothing for a log that is closed.
  void Hold(absl::Status why);
  /// Publishes the state, and ends the hold unless the log is closed.
  void Release(const LogState& state);
  /// Holds the log for good. Watchers are told and forgotten.
  void Close(absl::Status why);
  bool closed() const;
  /// Error when nothing may be appended: held, or "log_closed" for a superseded log.
  absl::Status CheckAppendable() const;

  bool superseded() const;
  /// Watchers are told when another log took this one's place.
  void set_superseded(bool superseded);
  std::optional<Offset> acknowledged() const;
  void SetAcknowledged(Offset offset);
  /// Whether a document says something else of what was acknowledged than the one described last. False for a
  /// held log: its document stays as it was found, and that of a deleted one must not come back.
  bool AcknowledgedChanged() const;
  CompactionState compaction() const;
  void set_compaction(const CompactionState& compaction);

  /// What the document of the log says of all this, which is about to be stored.
  void Describe(v1::StoredLog& document);
  void LoadCompaction(const v1::StoredCompaction& stored);

  int Watch(std::function<void()> advanced);
  void Unwatch(int handle);
  void NotifyWatchers();
  /// Something that is known elsewhere changed, as the damage of the log.
  void NoteChanged() { changes_.Note(number_); }

 private:
  struct Watcher {
    int handle;
    std::function<void()> advanced;
  };

  LogChanges& changes_;
  const LogNumber number_;
  const LogOrigin origin_;
  std::atomic<int64_t> start_to_be_;

  mutable absl::Mutex mutex_;
  LogState state_ ABSL_GUARDED_BY(mutex_);
  absl::Status held_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Offset> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::optional<Offset> acknowledged_stored_ ABSL_GUARDED_BY(mutex_);
  bool superseded_ ABSL_GUARDED_BY(mutex_);
  CompactionState compaction_ ABSL_GUARDED_BY(mutex_);

  absl::Mutex watch_mutex_;
  std::vector<Watcher> watchers_ ABSL_GUARDED_BY(watch_mutex_);
  int next_watcher_ ABSL_GUARDED_BY(watch_mutex_) = 1;
};

}  // namespace selvage
