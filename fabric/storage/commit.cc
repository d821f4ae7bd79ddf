#include "fabric/storage/commit.h"

#include <utility>

#include "absl/synchronization/notification.h"

namespace selvage {
namespace {

/// Passes everything on to `inner` and remembers the outcome.
class AwaitedTask : public CommitTask {
 public:
  AwaitedTask(std::unique_ptr<CommitTask> inner, absl::Status& outcome, absl::Notification& finished)
      : inner_(std::move(inner)), outcome_(outcome), finished_(finished) {}
  size_t ByteSize() const override { return inner_->ByteSize(); }
  absl::Status Stage(WriteBatch& batch) override { return inner_->Stage(batch); }
  void StageLast(WriteBatch& batch) override { inner_->StageLast(batch); }
  void Finish(const absl::Status& status) override {
    inner_->Finish(status);
    outcome_ = status;
    finished_.Notify();
  }

 private:
  std::unique_ptr<CommitTask> inner_;
  absl::Status& outcome_;
  absl::Notification& finished_;
};

class FunctionTask : public CommitTask {
 public:
  FunctionTask(std::function<absl::Status(WriteBatch&)> stage,
               std::function<void(const absl::Status&)> finish)
      : stage_(std::move(stage)), finish_(std::move(finish)) {}
  size_t ByteSize() const override { return 256; }
  absl::Status Stage(WriteBatch& batch) override { return stage_(batch); }
  void Finish(const absl::Status& status) override {
    if (finish_) finish_(status);
  }

 private:
  std::function<absl::Status(WriteBatch&)> stage_;
  std::function<void(const absl::Status&)> finish_;
};

}  // namespace

absl::Status CommitAndWait(Committer& committer, std::unique_ptr<CommitTask> task) {
  absl::Status outcome;
  absl::Notification finished;
  absl::Status submitted = committer.Submit(std::make_unique<AwaitedTask>(std::move(task), outcome, finished),
                                            Committer::Limit::kNone);
  if (!submitted.ok()) return submitted;
  AwaitCommit(committer, finished);
  return outcome;
}

void AwaitCommit(Committer& committer, const absl::Notification& finished) {
  if (!committer.driven_by_thread()) {
    while (!finished.HasBeenNotified()) committer.CommitOnce();
  }
  finished.WaitForNotification();
}

absl::Status Commit(Committer& committer, std::function<absl::Status(WriteBatch&)> stage,
                    std::function<void(const absl::Status&)> finish) {
  return CommitAndWait(committer, std::make_unique<FunctionTask>(std::move(stage), std::move(finish)));
}

}  // namespace selvage
