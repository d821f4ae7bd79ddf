#pragma once

#include <cstdint>
#include <optional>

#include "fabric/base/ids.h"
#include "fabric/stream/log_format.h"
#include "selvage/v1/stream.pb.h"

/// Which entries of a log may go: pure decisions; the log finds the boundaries (Log::Search).
namespace selvage {

struct RetentionView {
  Offset start;
  Offset end;
  uint64_t bytes_before_start = 0;
  uint64_t log_bytes = 0;
  /// Set for a log that is replicated from here: what the replica holds durably.
  bool replicated = false;
  Offset acknowledged;
};

/// An entry may go when it was stored before this time; nothing when age does not matter, as in a stream that
/// is only compacted.
std::optional<int64_t> AgeCutoff(const v1::StreamSettings& settings, int64_t now_ms);
/// An entry may go when the log's bytes up to and including it are at most this; nothing when size does not
/// matter.
std::optional<uint64_t> BytesCutoff(const v1::StreamSettings& settings, const RetentionView& log);

/// False when whatever expires has to stay: nobody has acknowledged it, or there is nothing.
bool MayTrim(const v1::StreamSettings& settings, const RetentionView& log);

struct TrimPlan {
  Offset to;
  /// From here on the trimmed entries were not acknowledged: they become a gap.
  std::optional<Offset> unacknowledged_from;
  GapReason reason = GapReason::kExpired;
};

/// Trims up to `expired_to` (the first entry that may stay), without touching what is not acknowledged unless
/// the stream says drop_oldest. With keep_after_ack off, everything acknowledged goes. Nothing when nothing
/// may go.
std::optional<TrimPlan> PlanTrim(const v1::StreamSettings& settings, const RetentionView& log,
                                 Offset expired_to);

}  // namespace selvage
