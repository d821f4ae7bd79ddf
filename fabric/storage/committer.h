#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/clock.h"
#include "fabric/storage/kv_store.h"
#include "fabric/storage/queue_room.h"

namespace selvage {

/// One change that a writer brings to the committer: an append, a trim, a fence, a control document.
class CommitTask {
 public:
  virtual ~CommitTask() = default;
  /// Bytes this task keeps in memory while it waits; counted against the queue and the group. Never changes.
  virtual size_t ByteSize() const = 0;
  /// Checks the preconditions against what earlier tasks staged and adds the change to `batch`. An error
  /// means that nothing was added. Called once, by the committer, in queue order.
  virtual absl::Status Stage(WriteBatch& batch) = 0;
  /// Adds what is written once for all tasks of a group. Called after Stage of the last of them, where the
  /// task's own succeeded.
  virtual void StageLast(WriteBatch&) {}
  /// The outcome: OK after the sync that made the change durable; else the error of Stage or of the write.
  /// Publishes to readers and acknowledges. Called once, by the committer, in queue order; must not block or
  /// throw.
  virtual void Finish(const absl::Status& status) = 0;
};

/// Group commit: everything waiting is staged into one WriteBatch, written once and synced once;
/// acknowledgement and visibility follow the sync. The queue is also the fence: tasks take effect in the
/// order they were submitted.
///
/// A failed write is final: the store may or may not hold the group, so nothing after it may be acknowledged.
/// Every waiting and later task fails with the same error and `on_failure` runs once (the node stops and
/// opens again).
///
/// CommitOnce is single-threaded and deterministic, for a simulator; CommitterThread drives it in the
/// daemons. Submit may be called from any thread.
class Committer {
 public:
  struct Options {
    size_t group_bytes_max =
        8u << 20;  ///< a group closes when it holds this much; one larger task still fits alone
    size_t queue_bytes_max = 32u << 20;  ///< waiting bytes beyond which Submit refuses
    std::function<void(const absl::Status&)> on_failure = nullptr;
    Clock* clock = &SystemClock();  ///< measures `sync_seconds`; must outlive the committer
  };

  /// `store` must outlive the committer.
  Committer(KvStore& store, Options options);
  ~Committer() { FailWaiting(); }

  enum class Limit {
    kQueue,  ///< a producer's task: refused with "overloaded" (kResourceExhausted, a retry helps) by a full
             ///< queue
    kNone,   ///< what is bounded elsewhere: by the link's credit, or by there being one caller who waits
  };
  /// Room in the queue, held for a task that is about to come. Given back when it goes unused. For one
  /// thread.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept { *this = std::move(other); }
    Place& operator=(Place&& other) noexcept;
    ~Place() { GiveBack(); }

   private:
    friend class Committer;
    Place(std::shared_ptr<QueueRoom> room, size_t bytes) : room_(std::move(room)), bytes_(bytes) {}
    void GiveBack();

    std::shared_ptr<QueueRoom> room_;
    size_t bytes_ = 0;
  };

  /// Takes room for a task of so many bytes (CommitTask::ByteSize), for who has something to pay or to give
  /// up for a write and must know before that it is not turned away. Errors: those of Submit. A task larger
  /// than the queue fits alone.
  absl::StatusOr<Place> Reserve(size_t bytes);
  /// Gets in line for room for a task of so many bytes (QueueRoom::GetInLine), for who was refused with
  /// "overloaded": once the turn has come, the same is tried again, and the turn is given up after that. Also
  /// comes when nothing is taken any more. Nothing when too many wait already.
  std::optional<QueueRoom::Turn> AwaitRoom(size_t bytes, std::function<void()> wake) {
    return room_->GetInLine(bytes, std::move(wake));
  }
  /// Whether somebody is in line for room: who would be fair gets in line as well.
  bool has_line() const { return room_->has_line(); }
  /// So many wait in line.
  size_t waiting_for_room() const { return room_->waiting(); }
  /// Queues the task in the room taken for it. Refused only after a failure or Close.
  absl::Status Submit(std::unique_ptr<CommitTask> task, Place place);
  /// Queues the task. When it is refused, also after a failure or Close, neither Stage nor Finish is called.
  /// A task larger than the queue fits alone.
  absl::Status Submit(std::unique_ptr<CommitTask> task, Limit limit = Limit::kQueue);

  /// Commits one group if anything waits; false when nothing did.
  bool CommitOnce();
  /// Blocks until something waits (true) or Close was called and nothing waits any more (false).
  bool WaitForWork();
  /// No task is accepted from here on; what waits is still committed.
  void Close();
  /// Fails what still waits, and frees it; no task is accepted from here on. While nothing drives the
  /// committer.
  void FailWaiting();

  /// True while a CommitterThread calls CommitOnce; else whoever waits for a task does (storage/commit.h).
  bool driven_by_thread() const { return driven_by_thread_; }

  /// Bytes waiting.
  size_t QueuedBytes() const;
  /// True once a write has failed: what was in its group may be stored or not. Never false again.
  bool failed() const { return failed_; }
  struct Stats {
    uint64_t groups = 0;      ///< writes with a sync
    uint64_t tasks = 0;       ///< tasks made durable
    uint64_t bytes = 0;       ///< bytes written in groups
    double sync_seconds = 0;  ///< time spent in writes, in total
  };
  Stats stats() const;

 private:
  friend class CommitterThread;
  using Tasks = std::vector<std::unique_ptr<CommitTask>>;
  /// Takes the tasks of the next group out of the queue.
  Tasks TakeGroup();
  /// Stages the group into `batch_`; the outcome of each task so far.
  std::vector<absl::Status> StageGroup(const Tasks& group);
  /// Writes and syncs `batch_`, which holds the changes of so many tasks, and counts it.
  absl::Status WriteGroup(size_t tasks);
  /// From here on every Submit fails with `error`; takes what still waits.
  Tasks CloseWith(const absl::Status& error);
  /// Why nothing is taken any more; OK while tasks are.
  absl::Status Closed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Takes room for so many more bytes; "overloaded" where they are too many.
  absl::Status TakeRoom(size_t bytes);

  bool WorkWaiting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !queue_.empty() || closed_; }

  KvStore& store_;
  const Options options_;
  const std::shared_ptr<QueueRoom> room_;  // taken by what waits and by places; its lock comes after mutex_
  std::unique_ptr<WriteBatch> batch_;
  std::atomic<bool> driven_by_thread_{false};
  std::atomic<bool> failed_{false};

  mutable absl::Mutex mutex_;
  std::deque<std::unique_ptr<CommitTask>> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  Stats stats_ ABSL_GUARDED_BY(mutex_);
};

/// The committer's thread. Stop() commits what waits, then joins.
class CommitterThread {
 public:
  explicit CommitterThread(Committer& committer);
  ~CommitterThread();
  void Stop();

 private:
  Committer& committer_;
  std::thread thread_;
};

}  // namespace selvage
