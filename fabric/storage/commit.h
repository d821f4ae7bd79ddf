#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "fabric/storage/committer.h"

namespace selvage {

/// Submits the task and waits for its outcome. Where no thread drives the committer (a simulation), the
/// caller does. Never call it from the committer's own thread.
absl::Status CommitAndWait(Committer& committer, std::unique_ptr<CommitTask> task);

/// The same for a small change made by functions: `stage` as in CommitTask::Stage, `finish` as in
/// CommitTask::Finish.
absl::Status Commit(Committer& committer, std::function<absl::Status(WriteBatch&)> stage,
                    std::function<void(const absl::Status&)> finish = nullptr);

/// Waits for what a submitted task notifies when it is finished, as CommitAndWait does.
void AwaitCommit(Committer& committer, const absl::Notification& finished);

}  // namespace selvage
