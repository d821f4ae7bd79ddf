#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/error.h"
#include "fabric/storage/memory_store.h"

namespace selvage {

/// A store that cannot read chosen values, as RocksDB cannot read a damaged blob: a cursor that comes upon
/// one stops there, and does not tell its key. Writing the key again makes it whole.
class DamagedStore : public MemoryStore {
 public:
  void Damage(Family family, const std::string& key) {
    auto batch = NewBatch();
    batch->Put(family, key, {kMark});
    (void)MemoryStore::Write(*batch, false);
  }

  /// Every write fails from here on.
  void FailWrites() { fails_ = true; }
  /// A disk that takes its time: writes wait while this holds.
  void HoldWrites(bool held) {
    absl::MutexLock lock(&mutex_);
    held_ = held;
  }

  absl::Status Write(WriteBatch& batch, bool sync) override {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](bool* held) { return !*held; }, &held_));
    }
    if (fails_) return MakeError(absl::StatusCode::kInternal, "io_error", "input/output error");
    return MemoryStore::Write(batch, sync);
  }
  absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) override {
    auto value = MemoryStore::Get(family, key);
    if (value.ok() && *value && **value == kMark) return Unreadable();
    return value;
  }
  std::unique_ptr<Cursor> Scan(Family family, std::string_view from, std::string_view to) override {
    return std::make_unique<StoppingCursor>(MemoryStore::Scan(family, from, to));
  }

 private:
  static constexpr std::string_view kMark = "damaged";

  static absl::Status Unreadable() {
    return MakeError(absl::StatusCode::kDataLoss, "data_damaged", "checksum mismatch");
  }

  class StoppingCursor : public Cursor {
   public:
    explicit StoppingCursor(std::unique_ptr<Cursor> inner) : inner_(std::move(inner)) {}
    void Seek(std::string_view key) override { inner_->Seek(key); }
    void SeekForPrev(std::string_view key) override { inner_->SeekForPrev(key); }
    void Next() override { inner_->Next(); }
    void Prev() override { inner_->Prev(); }
    bool Valid() const override { return inner_->Valid() && inner_->value() != kMark; }
    std::string_view key() const override { return inner_->key(); }
    std::string_view value() const override { return inner_->value(); }
    absl::Status status() const override {
      return inner_->Valid() && inner_->value() == kMark ? Unreadable() : inner_->status();
    }

   private:
    const std::unique_ptr<Cursor> inner_;
  };

  std::atomic<bool> fails_{false};
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace selvage
