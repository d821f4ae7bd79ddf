#include "fabric/link/link_appends.h"

namespace selvage {
namespace {

void AppendNow(Log& log, FlowEntry entry, const Fence& fence, const AppendDone& done) {
  absl::Status queued = log.AppendReplica(std::move(entry), fence, done);
  if (!queued.ok()) done(queued);
}

}  // namespace

void LinkAppends::Append(const std::shared_ptr<Log>& log, FlowEntry entry, const Fence& fence,
                         AppendDone done) {
  const bool fits = entry.kind != EntryKind::kBatch || budget_.Fits(entry.body.size());
  if (fits && *waiting_ == 0) return AppendNow(*log, std::move(entry), fence, done);
  ++*waiting_;
  errands_->Add(
      [log, entry = std::move(entry), fence, done = std::move(done), waiting = waiting_]() -> Errands::Then {
        AppendNow(*log, entry, fence, done);
        --*waiting;
        return {};
      });
}

void LinkLogSink::Persist(FlowEntry entry, Done done) {
  appends_.Append(shared_log(), std::move(entry), fence(), [done](const absl::StatusOr<LogPosition>& after) {
    done(after.ok() ? absl::StatusOr<replication::FlowPosition>(ToFlowPosition(*after)) : after.status());
  });
}

}  // namespace selvage
