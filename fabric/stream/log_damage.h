#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <variant>

#include "absl/status/statusor.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/log_repair.h"
#include "fabric/stream/log_store.h"

namespace selvage {

/// An entry that stands for the range where only the course of a log matters, not its content: a gap without
/// a body.
Entry StandInFor(const LogDamage& damage);
inline bool IsStandIn(const Entry& entry) {
  return entry.body.empty();
}

/// Finds out what of a log cannot be read. It seeks forwards only: in a table of which a block is damaged,
/// that reaches entries that were written anew, while a step across the block fails for ever. After a seek
/// that failed it goes on with another cursor, since one of RocksDB 7.8 may then take a whole block for the
/// damaged one, and what can be read would be given up.
class DamageFinder {
 public:
  /// Makes a cursor over the entries of the log.
  using NewCursor = std::function<std::unique_ptr<Cursor>()>;

  /// `state` was read before.
  DamageFinder(NewCursor new_cursor, LogNumber log, const LogState& state)
      : new_cursor_(std::move(new_cursor)), cursor_(new_cursor_()), log_(log), state_(state) {}

  /// The entry that contains `offset`, which is in [start, end), or the damage that does. Errors: those of
  /// the store but kDataLoss; "corrupt_entry" (kDataLoss) where two entries do not fit together.
  absl::StatusOr<std::variant<Entry, LogDamage>> Find(Offset offset);

 private:
  absl::StatusOr<std::optional<Entry>> AtOrAfter(Offset offset);
  absl::StatusOr<std::optional<Entry>> LastReadable(Offset offset);
  absl::StatusOr<LogDamage> Measure(const std::optional<Entry>& before, Offset from,
                                    absl::StatusOr<std::optional<Entry>> at_from);
  absl::StatusOr<std::optional<Entry>> FirstReadable(Offset damaged, Offset bound);

  const NewCursor new_cursor_;
  std::unique_ptr<Cursor> cursor_;
  const LogNumber log_;
  const LogState state_;
};

}  // namespace selvage
