#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "fabric/stream/embedded_log.h"

namespace selvage {

/// Appends batches to a log of this node within a task that is about something else: what is staged is stored
/// in the task's own write, or not at all. One for each task. For the committer's thread.
class LogAppender {
 public:
  explicit LogAppender(std::shared_ptr<EmbeddedLog> log) : log_(std::move(log)) {}

  /// Adds a batch at the log's end; `records` as BatchBuilder made it. Errors, with nothing staged: those of
  /// Log::Append for a log that is held, superseded or deleted. The disk budget is the caller's.
  absl::Status Stage(WriteBatch& batch, std::string records);
  /// What was staged is synced: readers see it. In CommitTask::Finish.
  void Publish();

 private:
  std::shared_ptr<EmbeddedLog> log_;
  std::vector<std::pair<Entry, LogState>> staged_;
};

}  // namespace selvage
