#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "fabric/link/errands.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/log_flow.h"
#include "fabric/stream/log_store.h"

namespace selvage {

/// Appends what comes over one link. Where old entries have to be dropped to make room, which waits for the
/// disk, it is an errand, and so is what comes behind it. A part of either end's link handler, called as that
/// is.
class LinkAppends {
 public:
  /// `budget` must outlive it.
  LinkAppends(const DiskBudget& budget, std::shared_ptr<Errands> errands)
      : budget_(budget), errands_(std::move(errands)) {}

  /// As Log::AppendReplica, whose errors come through `done` as well. In the order of the calls.
  void Append(const std::shared_ptr<Log>& log, FlowEntry entry, const Fence& fence, AppendDone done);

 private:
  const DiskBudget& budget_;
  const std::shared_ptr<Errands> errands_;
  /// Appends among the errands that are not in the committer's queue yet.
  const std::shared_ptr<std::atomic<int>> waiting_ = std::make_shared<std::atomic<int>>(0);
};

/// Takes a log's entries in the order in which the link brings them, without waiting for the disk.
class LinkLogSink : public LogFlowSink {
 public:
  /// `appends` must outlive the sink.
  LinkLogSink(std::shared_ptr<Log> log, size_t batch_max, const Fence& fence, LinkAppends& appends)
      : LogFlowSink(std::move(log), batch_max, fence), appends_(appends) {}

  void Persist(FlowEntry entry, Done done) override;

 private:
  LinkAppends& appends_;
};

}  // namespace selvage
