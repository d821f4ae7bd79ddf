#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/flow_entry.h"
#include "fabric/stream/log_store.h"

namespace selvage {

/// A range of a log that the store cannot read, between two boundaries that it can: one entry, or several
/// neighbours whose bytes lie together on the disk. The chain hashes on both sides are known, so whatever
/// takes the place of the range can be checked.
struct LogDamage {
  Offset from;
  Offset to;
  ChainHash hash_before;
  ChainHash hash_after;
  uint64_t bytes = 0;  ///< body bytes of what was there
  std::string why;

  // What the header of one entry in place of the range says (see Entry).
  int64_t append_ms = 0;
  int64_t max_timestamp = 0;
  uint64_t log_bytes = 0;
};

/// What can be done about a log whose stored entries may be damaged: an optional port of a log (Log::repair),
/// since a store that keeps copies of its own makes them whole by itself. Nothing behind a damaged range
/// changes. Safe to use from several threads.
class LogRepair {
 public:
  virtual ~LogRepair() = default;

  /// The ranges that readers found damaged and that are not whole again, by offset. What nobody read since
  /// the start is not known.
  virtual std::vector<LogDamage> damages() const = 0;
  virtual bool has_damage() const = 0;
  /// Reads at `offset` again: the damaged range that contains it, if it still is one.
  virtual absl::StatusOr<std::optional<LogDamage>> FindDamage(Offset offset) = 0;
  /// Puts a gap (GapReason::kCorrupt) in place of the damaged range that contains `offset`; readers go on
  /// behind it. Durable when it returns. Does nothing when the range can be read after all. Error:
  /// "range_changed" (a retry helps) when something else took its place meanwhile.
  virtual absl::Status Quarantine(Offset offset) = 0;
  /// Puts `entries` in place of the beginning of a damaged range, or of all of it, without a change to what
  /// lies before and behind. All or nothing; `done` as for appends, with the position behind the last one.
  /// Refused, with nothing written: "range_changed" when no damaged range begins with them, "chain_mismatch"
  /// when they do not lead from the hash before it to the hash after it, "corrupt_batch"/"corrupt_gap",
  /// "stale_session" (fenced).
  virtual absl::Status Replace(std::vector<FlowEntry> entries, Fence fence, AppendDone done) = 0;
};

}  // namespace selvage
