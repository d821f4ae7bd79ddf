#pragma once

#include <rocksdb/listener.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

/// What the parts of the RocksDB store share. Private to it.
namespace selvage::internal {

inline rocksdb::Slice ToSlice(std::string_view view) {
  return {view.data(), view.size()};
}
inline std::string_view ToView(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

/// Corruption is kDataLoss, a full disk kResourceExhausted, a cancelled job kCancelled, all else kInternal.
absl::Status ToError(const rocksdb::Status& status, std::string_view what);

/// Remembers the first error that the store cannot go on from and turns off RocksDB's own attempts to
/// recover.
class FailStop : public rocksdb::EventListener {
 public:
  explicit FailStop(std::function<void(const absl::Status&)> on_failure)
      : on_failure_(std::move(on_failure)) {}

  /// OK while the store is well; safe to ask often.
  absl::Status status() const;
  /// Keeps the first error, runs the callback for it, and returns it.
  absl::Status Fail(const absl::Status& error);
  /// The first damage that a compaction met in a table. It fails that compaction alone: RocksDB keeps the
  /// files it read from, and what is whole in them is read as before.
  absl::Status table_damage() const;
  /// The tables that such compactions read from, by the name of their column family: numbers of files.
  std::map<std::string, std::set<uint64_t>> suspects() const;
  /// There are no damaged tables any more.
  void ForgetTableDamage();
  /// While set, damage may as well be that of a value that was to be copied, and is not remembered.
  void CopyingValues(bool copying) { copying_values_ = copying; }

  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& job) override;
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override;
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }

 private:
  const std::function<void(const absl::Status&)> on_failure_;
  std::atomic<bool> copying_values_{false};
  std::atomic<bool> failed_{false};
  std::atomic<bool> table_damaged_{false};
  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Status table_damage_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::set<uint64_t>> suspects_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::internal
