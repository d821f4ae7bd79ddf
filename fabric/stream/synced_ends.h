#pragma once

#include <cstdint>
#include <map>

#include "fabric/base/ids.h"
#include "fabric/stream/log_store.h"

namespace selvage {

/// The synced end of every log, to be written as acknowledged ends (storage/acked_ends.h). Looks only at logs
/// that changed. Not thread-safe.
class SyncedEnds {
 public:
  /// `recorded` was written last; `logs` are open, and outlive this.
  SyncedEnds(LogStore& logs, std::map<LogNumber, Offset> recorded)
      : logs_(logs), ends_(std::move(recorded)) {}

  /// Brings the ends up to date: true when there is something to write. A held log keeps what it had
  /// acknowledged until an operator accepts the loss.
  bool Update();
  const std::map<LogNumber, Offset>& ends() const { return ends_; }

 private:
  LogStore& logs_;
  std::map<LogNumber, Offset> ends_;
  uint64_t changes_seen_ = 0;
  uint64_t logs_seen_ = UINT64_MAX;  // LogStore::changes when the logs were compared last
};

}  // namespace selvage
