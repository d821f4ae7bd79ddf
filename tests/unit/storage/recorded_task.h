#pragma once

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "fabric/base/error.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/memory_store.h"

namespace selvage {

/// What happened to tasks, in order. Safe to use from several threads.
class Trail {
 public:
  void Add(std::string event) {
    absl::MutexLock lock(&mutex_);
    events_.push_back(std::move(event));
  }
  std::vector<std::string> Take() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(events_, {});
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> events_ ABSL_GUARDED_BY(mutex_);
};

/// Puts its name with a value of `bytes` bytes into the log family. A name that starts with '!' is refused by
/// Stage, one that starts with '-' changes nothing.
class RecordedTask : public CommitTask {
 public:
  RecordedTask(std::string name, size_t bytes, Trail& trail)
      : name_(std::move(name)), bytes_(bytes), trail_(trail) {}

  size_t ByteSize() const override { return bytes_; }
  absl::Status Stage(WriteBatch& batch) override {
    trail_.Add("stage " + name_);
    if (name_[0] == '!') return MakeError(absl::StatusCode::kFailedPrecondition, "refused", "a test");
    if (name_[0] != '-') batch.Put(Family::kLog, name_, {std::string(bytes_, 'v')});
    return absl::OkStatus();
  }
  void Finish(const absl::Status& status) override {
    trail_.Add("finish " + name_ + ": " + (status.ok() ? "ok" : ErrorKind(status)));
  }

 private:
  const std::string name_;
  const size_t bytes_;
  Trail& trail_;
};

/// A memory store that counts its writes.
class CountingStore : public MemoryStore {
 public:
  absl::Status Write(WriteBatch& batch, bool sync) override {
    ++writes_;
    syncs_ += sync;
    return MemoryStore::Write(batch, sync);
  }
  int writes() const { return writes_; }
  int syncs() const { return syncs_; }

 private:
  std::atomic<int> writes_{0};
  std::atomic<int> syncs_{0};
};

}  // namespace selvage
