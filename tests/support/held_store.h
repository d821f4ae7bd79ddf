#pragma once

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/storage/memory_store.h"

namespace selvage {

/// A disk that takes its time: nothing is written while it is held. Counts the writes that are synced.
class HeldStore : public MemoryStore {
 public:
  void Hold(bool held) {
    absl::MutexLock lock(&mutex_);
    held_ = held;
  }
  int syncs() const { return syncs_; }
  /// Whether a write waits now.
  bool waited_for() const { return waiting_ > 0; }

  absl::Status Write(WriteBatch& batch, bool sync) override {
    ++waiting_;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](bool* held) { return !*held; }, &held_));
    }
    --waiting_;
    syncs_ += sync ? 1 : 0;
    return MemoryStore::Write(batch, sync);
  }

 private:
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<int> syncs_{0};
  std::atomic<int> waiting_{0};
};

}  // namespace selvage
