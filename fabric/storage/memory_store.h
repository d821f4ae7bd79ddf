#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/bytes.h"
#include "fabric/storage/kv_store.h"

namespace selvage {

/// A store in memory, for simulators and tests. It knows which writes a sync has covered, so that a subclass
/// can crash it: LoseUnsynced goes back to what a disk would still hold.
///
/// Deterministic when used by one thread; safe to use from several.
class MemoryStore : public KvStore {
 public:
  struct Options {
    uint64_t capacity_bytes = uint64_t{1} << 40;  ///< size of the pretended volume
  };

  MemoryStore() : MemoryStore(Options{}) {}
  explicit MemoryStore(Options options);
  ~MemoryStore() override;

  /// Changes the size of the pretended volume. A write that does not fit fails as on a full disk, finally.
  void SetCapacity(uint64_t bytes);

  std::unique_ptr<WriteBatch> NewBatch() override;
  absl::Status Write(WriteBatch& batch, bool sync) override;
  absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) override;
  std::unique_ptr<Cursor> Scan(Family family, std::string_view from, std::string_view to) override;
  std::vector<std::unique_ptr<Cursor>> ScanTogether(const std::vector<KeySpan>& spans) override;
  /// Nothing to do: deleted keys keep no space.
  absl::Status Reclaim(Family family, std::string_view from, std::string_view to) override;
  /// Bytes of the keys and values that can be read.
  absl::StatusOr<uint64_t> FileBytes() override;
  /// The capacity minus FileBytes.
  absl::StatusOr<uint64_t> FreeBytes() override;

 protected:
  /// Batches written since the last sync.
  size_t UnsyncedBatches() const;
  /// What a power cut does: of the batches written since the last sync only the first `keep` remain, and they
  /// count as synced. An earlier failure is forgotten, as when a process opens the store again.
  void LoseUnsynced(size_t keep);

 private:
  class Batch;
  class SnapshotCursor;
  using Table = std::map<std::string, Bytes, std::less<>>;

  struct Op {
    enum class Kind { kPut, kDelete, kDeleteRange };
    Kind kind;
    Family family;
    std::string key;
    std::string range_end;  ///< for kDeleteRange
    Bytes value;            ///< for kPut
  };
  /// Returns by how many bytes the table grew.
  static int64_t Apply(const Op& op, Table& table);
  Table& WritableTable(Family family) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  uint64_t capacity_bytes_ ABSL_GUARDED_BY(mutex_);
  /// Bytes of the keys and values in `current_`.
  uint64_t held_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  /// What readers see. A cursor shares its table; the next write then copies it (the values stay shared).
  std::array<std::shared_ptr<Table>, std::size(kAllFamilies)> current_ ABSL_GUARDED_BY(mutex_);
  /// What a sync has covered: `current_` is always `synced_` with `unsynced_` applied.
  std::array<Table, std::size(kAllFamilies)> synced_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<Op>> unsynced_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage
