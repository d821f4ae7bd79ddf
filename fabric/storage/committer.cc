#include "fabric/storage/committer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage {

Committer::Committer(KvStore& store, Options options)
    : store_(store),
      options_(std::move(options)),
      room_(std::make_shared<QueueRoom>(options_.queue_bytes_max)),
      batch_(store.NewBatch()) {}

void Committer::FailWaiting() {
  const absl::Status stopping =
      MakeError(absl::StatusCode::kUnavailable, "stopping", "the node stops", "", Retry::kYes);
  for (const auto& task : CloseWith(stopping)) task->Finish(stopping);
}

Committer::Place& Committer::Place::operator=(Place&& other) noexcept {
  GiveBack();
  room_ = std::exchange(other.room_, nullptr);
  bytes_ = other.bytes_;
  return *this;
}

void Committer::Place::GiveBack() {
  if (room_ != nullptr) std::exchange(room_, nullptr)->GiveBack(bytes_);
}

absl::Status Committer::Closed() const {
  if (!failure_.ok() || !closed_) return failure_;
  return MakeError(absl::StatusCode::kUnavailable, "stopping", "the node stops and takes no more writes", "",
                   Retry::kYes);
}

absl::Status Committer::TakeRoom(size_t bytes) {
  if (room_->TryTake(bytes)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, "overloaded",
      fmt::format("{} bytes wait to be written; the limit is {}", room_->taken(), room_->bytes_max()),
      "the disk is slower than the writers: write less or wait", Retry::kYes);
}

absl::StatusOr<Committer::Place> Committer::Reserve(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  SELVAGE_RETURN_IF_ERROR(Closed());
  SELVAGE_RETURN_IF_ERROR(TakeRoom(bytes));
  return Place(room_, bytes);
}

absl::Status Committer::Submit(std::unique_ptr<CommitTask> task, Place place) {
  SELVAGE_CHECK(place.room_ == room_ && place.bytes_ == task->ByteSize());
  absl::MutexLock lock(&mutex_);
  SELVAGE_RETURN_IF_ERROR(Closed());
  place.room_.reset();  // the task's from here on
  queued_bytes_ += place.bytes_;
  queue_.push_back(std::move(task));
  return absl::OkStatus();
}

absl::Status Committer::Submit(std::unique_ptr<CommitTask> task, Limit limit) {
  const size_t bytes = task->ByteSize();
  absl::MutexLock lock(&mutex_);
  SELVAGE_RETURN_IF_ERROR(Closed());
  if (limit == Limit::kQueue) {
    SELVAGE_RETURN_IF_ERROR(TakeRoom(bytes));
  } else {
    room_->Take(bytes);
  }
  queued_bytes_ += bytes;
  queue_.push_back(std::move(task));
  return absl::OkStatus();
}

bool Committer::CommitOnce() {
  const Tasks group = TakeGroup();
  if (group.empty()) return false;
  const std::vector<absl::Status> staged = StageGroup(group);
  const size_t ready =
      std::count_if(staged.begin(), staged.end(), [](const auto& status) { return status.ok(); });
  // Nothing to make durable when every task was refused or changed nothing: all they saw is synced already.
  const absl::Status written = batch_->Empty() ? absl::OkStatus() : WriteGroup(ready);
  batch_->Clear();

  // Before anybody hears of the failure, so that no task slips in behind it.
  if (!written.ok()) failed_ = true;
  const Tasks waiting = written.ok() ? Tasks() : CloseWith(written);
  for (size_t i = 0; i < group.size(); ++i) group[i]->Finish(staged[i].ok() ? written : staged[i]);
  for (const auto& task : waiting) task->Finish(written);
  if (!written.ok() && options_.on_failure) options_.on_failure(written);
  return true;
}

Committer::Tasks Committer::TakeGroup() {
  Tasks group;
  size_t group_bytes = 0;
  {
    absl::MutexLock lock(&mutex_);
    while (!queue_.empty()) {
      const size_t bytes = queue_.front()->ByteSize();
      if (!group.empty() && group_bytes + bytes > options_.group_bytes_max) break;
      SELVAGE_CHECK(bytes <= queued_bytes_);
      queued_bytes_ -= bytes;
      group_bytes += bytes;
      group.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
  }
  room_->GiveBack(group_bytes);
  return group;
}

std::vector<absl::Status> Committer::StageGroup(const Tasks& group) {
  std::vector<absl::Status> outcomes;
  outcomes.reserve(group.size());
  for (const auto& task : group) {
    const size_t before = batch_->ByteSize();
    outcomes.push_back(task->Stage(*batch_));
    SELVAGE_CHECK(outcomes.back().ok() || batch_->ByteSize() == before);
  }
  for (size_t i = 0; i < group.size(); ++i) {
    if (outcomes[i].ok()) group[i]->StageLast(*batch_);
  }
  return outcomes;
}

absl::Status Committer::WriteGroup(size_t tasks) {
  const absl::Duration start = options_.clock->Monotonic();
  absl::Status written = store_.Write(*batch_, /*sync=*/!Planted(Canary::kAcknowledgeBeforeSync));
  const absl::Duration took = options_.clock->Monotonic() - start;

  absl::MutexLock lock(&mutex_);
  stats_.sync_seconds += absl::ToDoubleSeconds(took);
  if (written.ok()) {
    ++stats_.groups;
    stats_.tasks += tasks;
    stats_.bytes += batch_->ByteSize();
  }
  return written;
}

Committer::Tasks Committer::CloseWith(const absl::Status& error) {
  Tasks waiting;
  size_t bytes;
  {
    absl::MutexLock lock(&mutex_);
    failure_ = error;
    waiting.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
    queue_.clear();
    bytes = std::exchange(queued_bytes_, 0);
  }
  room_->GiveBack(bytes);
  room_->Close();
  return waiting;
}

bool Committer::WaitForWork() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &Committer::WorkWaiting));
  return !queue_.empty();
}

void Committer::Close() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  room_->Close();
}

size_t Committer::QueuedBytes() const {
  absl::MutexLock lock(&mutex_);
  return queued_bytes_;
}

Committer::Stats Committer::stats() const {
  absl::MutexLock lock(&mutex_);
  return stats_;
}

CommitterThread::CommitterThread(Committer& committer) : committer_(committer) {
  committer_.driven_by_thread_ = true;
  thread_ = std::thread([&committer] {
    while (committer.WaitForWork()) committer.CommitOnce();
  });
}

CommitterThread::~CommitterThread() {
  Stop();
}

void CommitterThread::Stop() {
  committer_.Close();
  if (thread_.joinable()) thread_.join();
}

}  // namespace selvage
