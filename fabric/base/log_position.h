#pragma once

#include <cstdint>

#include "fabric/base/id128.h"
#include "fabric/base/ids.h"

namespace selvage {

/// What a log consists of. The numbers are stored and travel on the link.
enum class EntryKind : uint8_t { kBatch = 1, kGap = 2 };

/// A place in one history: what two ends compare to resume.
struct LogPosition {
  LogId log;
  Offset offset;
  ChainHash hash;  ///< chain hash at `offset`

  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

}  // namespace selvage
