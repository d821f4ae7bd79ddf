#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/storage/kv_store.h"

namespace selvage {

/// What was written last, to be kept apart from the store (storage/write_mark.h): a store that comes back
/// with less has lost something, though nothing in it says so.
struct WriteMark {
  /// By subject, the number of the newest synced write that changed it.
  std::map<std::string, uint64_t> newest;
  /// Subjects that changed last with a write up to this one may be missing in `newest`.
  uint64_t left_out = 0;

  friend bool operator==(const WriteMark&, const WriteMark&) = default;
};

/// What of a mark a store has lost.
struct LostWrites {
  std::vector<std::string> subjects;  ///< they are as they were at some time before
  bool perhaps_others = false;        ///< or not only they: the mark has room for so many

  bool none() const { return subjects.empty() && !perhaps_others; }
};
/// `recovered` is the newest write that the store holds; writes are lost from the newest on backwards.
LostWrites LostOf(const WriteMark& mark, uint64_t recovered);

/// A store that numbers the writes whose loss nothing else would show. A write-ahead log that is damaged or
/// was cut off gives back what lies before the damage, and that looks like a store that never held more. The
/// number is written with each of these writes, so that it goes back with what it numbers.
///
/// Thread-safe as the store behind it is; one thread writes at a time.
class MarkedStore : public KvStore {
 public:
  /// What an operator would call the thing that lies under this key; empty where a loss shows by other means.
  using SubjectOf = std::function<std::string(Family family, std::string_view key)>;
  /// Subjects of a mark; beyond that those that changed first are left out.
  static constexpr size_t kSubjectsMax = 500;

  /// `store` must outlive it.
  MarkedStore(KvStore& store, SubjectOf subject_of) : store_(store), subject_of_(std::move(subject_of)) {}

  /// Reads the number of the newest write that the store holds. Once, before the first write. Errors: those
  /// of the store; "corrupt_meta" (kDataLoss).
  absl::StatusOr<uint64_t> Open();
  /// The writes since Open that are synced.
  WriteMark mark() const;
  /// Grows whenever `mark` changes.
  uint64_t last() const;

  std::unique_ptr<WriteBatch> NewBatch() override;
  absl::Status Write(WriteBatch& batch, bool sync) override;
  absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) override {
    return store_.Get(family, key);
  }
  std::unique_ptr<Cursor> Scan(Family family, std::string_view from, std::string_view to) override {
    return store_.Scan(family, from, to);
  }
  std::vector<std::unique_ptr<Cursor>> ScanTogether(const std::vector<KeySpan>& spans) override {
    return store_.ScanTogether(spans);
  }
  absl::Status Reclaim(Family family, std::string_view from, std::string_view to) override {
    return store_.Reclaim(family, from, to);
  }
  absl::StatusOr<uint64_t> FileBytes() override { return store_.FileBytes(); }
  absl::StatusOr<uint64_t> FreeBytes() override { return store_.FreeBytes(); }

 private:
  class Batch;
  void LeaveOutOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  KvStore& store_;
  const SubjectOf subject_of_;
  uint64_t number_ = 0;             // of the newest write; the writer's
  std::set<std::string> unsynced_;  // changed, and no sync came since; the writer's

  mutable absl::Mutex mutex_;
  WriteMark mark_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace selvage
