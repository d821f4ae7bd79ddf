#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fabric/stream/record_batch.h"
#include "fabric/table/stamp.h"

/// Change capture: what readers of a table saw change, as records of a stream (docs/tables.md, "Change
/// capture").
namespace selvage::table {

/// Why readers see something else of a row now.
enum class CaptureReason {
  kWrite,    ///< a program of this node wrote it
  kMerge,    ///< another node's write came
  kRelease,  ///< another node's write came earlier, and its time has come now
  kSweep,    ///< a snapshot of the core does not have it: nobody deleted it
  kExpiry,   ///< its expiry has passed
};
std::string_view CaptureReasonName(CaptureReason reason);

struct CapturedChange {
  std::string key;
  std::optional<std::string> before;  ///< what readers saw, canonical JSON; nothing: the row was not there
  std::optional<std::string> after;
  CaptureReason reason = CaptureReason::kWrite;
  /// The newest write in the row now; none where the row is gone without a trace.
  Stamp stamp;
};

/// The record for Kafka clients: the row's key, and JSON with `before`, `after`, `reason`, `store` (whose
/// write is the newest in the row, as hexadecimal digits) and `time_ms` (of that write). Without a value when
/// the row was deleted or has expired, so that a compacted stream forgets it; what else would be in the value
/// is in headers then. A sweep is no delete, and has a value.
Record RecordOf(const CapturedChange& change, int64_t now_ms);

}  // namespace selvage::table
