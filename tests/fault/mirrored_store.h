#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "fabric/storage/kv_store.h"
#include "fabric/storage/memory_store.h"

namespace selvage::test {

/// What a store must hold: everything it said was written, and of what it was still writing (or said that it
/// could not write) a prefix, batch by batch.
class Mirror {
 public:
  /// OK when the store, just opened, holds that, key by key and byte by byte; then what it holds is sure.
  /// kDataLoss when it does not; other errors are those of reading.
  absl::Status Compare(KvStore& store);

 private:
  friend class MirroredStore;
  MemoryStore sure_;
  std::deque<std::unique_ptr<WriteBatch>> unsure_;
};

/// Passes everything on to another store and notes it in a mirror, which outlives both. Writes by one thread
/// at a time. With `sync` off it is a store that acknowledges what it never synced.
class MirroredStore : public KvStore {
 public:
  /// `file_bytes` answers FileBytes.
  MirroredStore(KvStore& target, Mirror& mirror, bool sync, std::function<uint64_t()> file_bytes)
      : target_(target), mirror_(mirror), sync_(sync), file_bytes_(std::move(file_bytes)) {}

  std::unique_ptr<WriteBatch> NewBatch() override;
  absl::Status Write(WriteBatch& batch, bool sync) override;
  absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) override {
    return target_.Get(family, key);
  }
  std::unique_ptr<Cursor> Scan(Family family, std::string_view from, std::string_view to) override {
    return target_.Scan(family, from, to);
  }
  std::vector<std::unique_ptr<Cursor>> ScanTogether(const std::vector<KeySpan>& spans) override {
    return target_.ScanTogether(spans);
  }
  absl::Status Reclaim(Family family, std::string_view from, std::string_view to) override {
    return target_.Reclaim(family, from, to);
  }
  absl::StatusOr<uint64_t> FileBytes() override { return file_bytes_(); }
  absl::StatusOr<uint64_t> FreeBytes() override { return uint64_t{1} << 40; }

 private:
  class Batch;

  KvStore& target_;
  Mirror& mirror_;
  const bool sync_;
  const std::function<uint64_t()> file_bytes_;
};

}  // namespace selvage::test
