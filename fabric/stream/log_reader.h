#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/damaged_ranges.h"
#include "fabric/stream/published_log.h"
#include "fabric/stream/tail_cache.h"

namespace selvage {

/// Reads the entries of a log, as far as they are published, from the store or from the cache of what was
/// written last; remembers what it finds damaged. Safe to use from several threads.
class LogReader {
 public:
  /// All must outlive this.
  LogReader(KvStore& store, TailCache& cache, const PublishedLog& log, DamagedRanges& damaged)
      : store_(store), cache_(cache), log_(log), damaged_(damaged) {}

  // As the port says (Log).
  absl::StatusOr<std::vector<Entry>> Read(Offset from, size_t max_bytes, bool from_disk) const;
  absl::StatusOr<LogPosition> BoundaryAtOrBefore(Offset offset) const;
  absl::StatusOr<std::optional<RecordTime>> FirstRecordAtOrAfter(
      int64_t timestamp_ms, const std::function<bool()>& cancelled) const;
  absl::StatusOr<std::optional<Entry>> Search(const std::function<bool(const Entry&)>& wanted) const;

  /// As Search, with few reads where the entry is near the start.
  absl::StatusOr<std::optional<Entry>> SearchNearStart(const std::function<bool(const Entry&)>& wanted) const;
  /// The entry that contains `offset`, which is in [start, end), or the damage that does; it is remembered.
  /// Error: "offset_out_of_range" when it was trimmed meanwhile.
  absl::StatusOr<std::variant<Entry, LogDamage>> Find(Offset offset) const;
  /// As Find; in place of damage an entry that stands for it (StandInFor).
  absl::StatusOr<Entry> EntryOrStandIn(Offset offset) const;

 private:
  std::unique_ptr<Cursor> NewCursor() const;
  absl::StatusOr<std::variant<Entry, LogDamage>> FindDamaged(Offset offset) const;
  /// As Find; "corrupt_entry" for damage.
  absl::StatusOr<Entry> EntryContaining(Offset offset) const;
  std::vector<Entry> ReadForward(Offset from, Offset end, size_t max_bytes) const;
  absl::StatusOr<std::optional<Entry>> SearchFrom(bool near_start,
                                                  const std::function<bool(const Entry&)>& wanted) const;
  absl::Status OutOfRange(Offset offset, const LogState& state) const;
  absl::Status Damaged(const LogDamage& damage) const;

  KvStore& store_;
  TailCache& cache_;
  const PublishedLog& log_;
  DamagedRanges& damaged_;
};

}  // namespace selvage
