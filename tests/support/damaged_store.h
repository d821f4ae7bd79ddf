#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "tests/support/held_store.h"

namespace selvage {

/// A store that cannot read chosen values, as RocksDB cannot read a damaged blob: a cursor that comes upon
/// one stops there, and does not tell its key. Writing the key again makes it whole.
class DamagedStore : public HeldStore {
 public:
  void Damage(Family family, const std::string& key) {
    auto batch = NewBatch();
    batch->Put(family, key, {kMark});
    (void)HeldStore::Write(*batch, false);
  }

  /// Every write fails from here on.
  void FailWrites() { fails_ = true; }

  absl::Status Write(WriteBatch& batch, bool sync) override {
    if (fails_) return MakeError(absl::StatusCode::kInternal, "io_error", "input/output error");
    return HeldStore::Write(batch, sync);
  }
  absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) override {
    auto value = MemoryStore::Get(family, key);
    if (value.ok() && *value && **value == kMark) return Unreadable();
    return value;
  }
  std::unique_ptr<Cursor> Scan(Family family, std::string_view from, std::string_view to) override {
    return std::make_unique<StoppingCursor>(MemoryStore::Scan(family, from, to));
  }
  std::vector<std::unique_ptr<Cursor>> ScanTogether(const std::vector<KeySpan>& spans) override {
    std::vector<std::unique_ptr<Cursor>> cursors = MemoryStore::ScanTogether(spans);
    for (auto& cursor : cursors) cursor = std::make_unique<StoppingCursor>(std::move(cursor));
    return cursors;
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
};

}  // namespace selvage
