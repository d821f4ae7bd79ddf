#pragma once

#include "fabric/base/id128.h"
#include "fabric/base/ids.h"

namespace selvage {

/// A place in one history: what two ends compare to resume.
struct LogPosition {
  LogId log;
  Offset offset;
  ChainHash hash;  ///< chain hash at `offset`

  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

}  // namespace selvage
