#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "fabric/node/node_state.h"
#include "fabric/node/row_damage.h"
#include "fabric/node/view_alarms.h"
#include "fabric/storage/marked_store.h"
#include "fabric/storage/rocksdb_store.h"
#include "fabric/stream/synced_ends.h"

namespace selvage {

/// A NodeState on RocksDB with its threads: the committer, one for upkeep (retention, measuring the disk, the
/// files of acknowledged ends and of newest writes), one for giving back space, and one that feeds views.
///
/// Opening compares the store with those files. What logs lost is held, each with its alarm; of all else that
/// may have gone back the alarm "writes_lost" says what it is.
class NodeStore {
 public:
  struct Options {
    std::filesystem::path data_dir;
    NodeState::Options state;
    size_t write_buffer_bytes = 8u << 20;
    size_t block_cache_bytes = 8u << 20;
    int max_open_files = 256;
    /// The consumer group that a key of the group family belongs to, so that an alarm can name it.
    std::function<std::string(std::string_view key)> group_of = nullptr;
    /// The store failed and takes no more writes: the node must stop. Called once, on any thread.
    std::function<void(const absl::Status&)> on_failure;
  };

  static absl::StatusOr<std::unique_ptr<NodeStore>> Open(Options options);
  /// Commits what waits and stops the threads. No other call may be running.
  ~NodeStore();

  NodeState& state() { return *state_; }
  /// `chore` is called about once a second on the upkeep thread, in place of the one before it; an empty one
  /// ends that, and no call is under way when this returns. May wait for the disk.
  void SetChore(std::function<void()> chore) ABSL_LOCKS_EXCLUDED(chore_mutex_);

 private:
  explicit NodeStore(Options options) : options_(std::move(options)) {}
  absl::Status Start();
  void Fail(const absl::Status& why);
  void RunUpkeep();
  void RunReclaim();
  void RunViews();
  void WriteAckedEndsIfChanged();
  void WriteMarkIfChanged();
  /// Compares the mark with how far the store got, and begins a new one.
  absl::Status KeepLost(const WriteMark& mark, uint64_t recovered);
  absl::Status CompareMark(const absl::StatusOr<WriteMark>& mark, uint64_t recovered);
  void ReportLost(const LostWrites& lost);
  void ReportTableDamage();
  /// Mends damaged tables when it is time to try.
  void MendTables();
  void RunChore() ABSL_LOCKS_EXCLUDED(chore_mutex_);

  const Options options_;
  std::unique_ptr<RocksDbStore> engine_;
  std::unique_ptr<MarkedStore> store_;
  std::unique_ptr<NodeState> state_;
  std::unique_ptr<RowDamage> row_damage_;    // the upkeep thread's
  std::unique_ptr<ViewAlarms> view_alarms_;  // the same
  std::unique_ptr<CommitterThread> committer_thread_;
  std::unique_ptr<SyncedEnds> ends_;  // the upkeep thread's, while there is one
  bool ends_unwritten_ = false;
  uint64_t marked_ = 0;  // the newest write in the file; the upkeep thread's
  absl::Duration next_mending_ = -absl::InfiniteDuration();  // the reclaim thread's
  absl::Mutex chore_mutex_;
  std::function<void()> chore_ ABSL_GUARDED_BY(chore_mutex_);
  absl::Notification stopping_;
  std::atomic<bool> failed_{false};
  std::thread upkeep_;
  std::thread reclaim_;
  std::thread views_;
};

}  // namespace selvage
