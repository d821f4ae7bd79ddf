#include "fabric/kafka/group_service/group_service.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/kafka/group/stored.h"
#include "fabric/storage/commit.h"
#include "fabric/storage/committer.h"

namespace selvage::kafka {

using group::GroupOf;
using group::RequestId;

namespace {

constexpr ErrorCode kStopped = ErrorCode::kCoordinatorNotAvailable;
constexpr size_t kWriteOverhead = 64;

}  // namespace

/// Where the node tells things, which may come when the service is gone.
struct GroupService::Outlet {
  absl::Mutex mutex;  // before that of the service
  GroupService* service ABSL_GUARDED_BY(mutex) = nullptr;
};

class GroupService::WriteTask : public CommitTask {
 public:
  WriteTask(std::shared_ptr<Outlet> outlet, group::Persist persist, DiskCharge charge)
      : outlet_(std::move(outlet)), persist_(std::move(persist)), charge_(std::move(charge)) {
    for (const group::Write& write : persist_.writes) {
      bytes_ += kWriteOverhead + write.key.size() + write.value.size();
    }
  }
  size_t ByteSize() const override { return bytes_; }
  absl::Status Stage(WriteBatch& batch) override {
    for (const group::Write& write : persist_.writes) {
      switch (write.kind) {
        case group::Write::Kind::kPut:
          batch.Put(Family::kGroup, write.key, {write.value});
          break;
        case group::Write::Kind::kDelete:
          batch.Delete(Family::kGroup, write.key);
          break;
        case group::Write::Kind::kDeleteRange:
          batch.DeleteRange(Family::kGroup, write.key, write.value);
          break;
      }
    }
    return absl::OkStatus();
  }
  void Finish(const absl::Status& status) override {
    if (status.ok()) charge_.Written();
    absl::MutexLock lock(&outlet_->mutex);
    if (outlet_->service != nullptr) outlet_->service->Written(persist_.id, status);
  }

 private:
  const std::shared_ptr<Outlet> outlet_;
  const group::Persist persist_;
  DiskCharge charge_;
  size_t bytes_ = 0;
};

GroupService::GroupService(NodeState& node, const group::Settings& settings)
    : node_(node),
      outlet_(std::make_shared<Outlet>()),
      coordinator_(settings, node.random(), node.clock().Monotonic()) {
  {
    absl::MutexLock lock(&outlet_->mutex);
    outlet_->service = this;
  }
  node.set_on_delete([outlet = outlet_](const std::string& stream) {
    absl::MutexLock lock(&outlet->mutex);
    if (outlet->service != nullptr) outlet->service->ForgetStream(stream);
  });
}

GroupService::~GroupService() {
  Stop();
}

absl::Status GroupService::Open() {
  absl::MutexLock lock(&mutex_);
  auto unreadable =
      ForEachStoredDocument(node_.store(), [this](std::string_view key, std::string_view document) {
        mutex_.AssertHeld();
        Restore(key, document);
      });
  if (!unreadable.ok()) return Annotate(unreadable.status(), "reading the consumer groups");
  if (*unreadable) SELVAGE_RETURN_IF_ERROR(GiveUp(**unreadable));
  if (const int64_t newest_ms = coordinator_.newest_ms(); newest_ms > 0) node_.ages().GoOnFrom(newest_ms);
  return absl::OkStatus();
}

/// Goes on without the documents that cannot be read: streams do not wait for them.
absl::Status GroupService::GiveUp(const UnreadableDocuments& unreadable) {
  const std::string from = unreadable.after.empty() ? "the first" : GroupOf(unreadable.after);
  const std::string to = unreadable.before.empty() ? "the last" : GroupOf(unreadable.before);
  node_.alarms().Report(
      {"group_damaged", "several",
       fmt::format("a part of what is stored of the consumer groups from {} to {}, in order of "
                   "their names' length and bytes, is damaged: {}",
                   from, to, selvage::Describe(unreadable.error)),
       "what they committed there is lost: compare selvagectl group describe, and set their offsets "
       "with selvagectl group reset",
       false});
  return Annotate(
      selvage::Commit(node_.committer(),
                      [&](WriteBatch& batch) { return StageReadableDocuments(node_.store(), batch); }),
      "storing the consumer groups that can be read");
}

void GroupService::Restore(std::string_view key, std::string_view value) {
  // Timers begin anew; the wall time is not looked at.
  const absl::Status restored = coordinator_.Restore(key, value, {node_.clock().Monotonic(), 0});
  if (restored.ok()) return;
  node_.alarms().Report(
      {"group_damaged", GroupOf(key), std::string(restored.message()),
       "what the group committed there is lost: set its offsets with selvagectl group reset", false});
}

group::Instant GroupService::Now() const {
  return {node_.clock().Monotonic(), node_.ages().NowMs()};
}

// --- Requests
// ----------------------------------------------------------------------------------------------------

template <class Answer, class Enter>
RequestId GroupService::Ask(Done<Answer> done, Answer when_stopped, Enter enter) {
  Calls calls;
  RequestId id;
  {
    absl::MutexLock lock(&mutex_);
    id = ++last_request_;
    auto give = [done = std::move(done)](Body body) { done(std::get<Answer>(std::move(body))); };
    if (stopped_) {
      calls.emplace_back(std::move(give), std::move(when_stopped));
    } else {
      waiting_.emplace(id, Waiting{std::move(give), std::move(when_stopped)});
      enter(coordinator_, id, Now());
      calls = TakeReady();
    }
  }
  Give(std::move(calls));
  return id;
}

RequestId GroupService::Join(group::JoinRequest request, Done<group::JoinAnswer> done) {
  group::JoinAnswer stopped;
  stopped.error = kStopped;
  stopped.member_id = request.member_id;
  return Ask(std::move(done), std::move(stopped),
             [&](group::Coordinator& coordinator, RequestId id, group::Instant now) {
               coordinator.Join(id, std::move(request), now);
             });
}

RequestId GroupService::Sync(group::SyncRequest request, Done<group::SyncAnswer> done) {
  return Ask(std::move(done), group::SyncAnswer{kStopped, {}, {}, {}},
             [&](group::Coordinator& coordinator, RequestId id, group::Instant now) {
               coordinator.Sync(id, std::move(request), now);
             });
}

RequestId GroupService::Leave(group::LeaveRequest request, Done<group::LeaveAnswer> done) {
  return Ask(std::move(done), group::LeaveAnswer{kStopped, {}},
             [&](group::Coordinator& coordinator, RequestId id, group::Instant now) {
               coordinator.Leave(id, std::move(request), now);
             });
}

RequestId GroupService::Commit(group::CommitRequest request, Done<group::CommitAnswer> done) {
  group::CommitAnswer stopped{std::vector<ErrorCode>(request.partitions.size(), kStopped)};
  return Ask(std::move(done), std::move(stopped),
             [&](group::Coordinator& coordinator, RequestId id, group::Instant now) {
               coordinator.Commit(id, std::move(request), now);
             });
}

RequestId GroupService::DeleteOffsets(group::DeleteOffsetsRequest request,
                                      Done<group::DeleteOffsetsAnswer> done) {
  return Ask(std::move(done), group::DeleteOffsetsAnswer{kStopped, {}},
             [&](group::Coordinator& coordinator, RequestId id, group::Instant) {
               coordinator.DeleteOffsets(id, std::move(request));
             });
}

RequestId GroupService::DeleteGroups(const std::vector<std::string>& groups,
                                     Done<group::DeleteGroupsAnswer> done) {
  return Ask(std::move(done), group::DeleteGroupsAnswer{std::vector<ErrorCode>(groups.size(), kStopped)},
             [&](group::Coordinator& coordinator, RequestId id, group::Instant) {
               coordinator.DeleteGroups(id, groups);
             });
}

void GroupService::ForgetStream(const std::string& stream) {
  const std::string suffix = "." + stream;
  Calls calls;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    coordinator_.ForgetTopics([&](const std::string& topic) {
      if (topic == stream) return true;
      // A stream of its own, or an origin topic of one, may end like an origin topic of this one.
      return topic.ends_with(suffix) &&
             IsDnsLabel(std::string_view(topic).substr(0, topic.size() - suffix.size())) &&
             !node_.catalog().Find(topic);
    });
    calls = TakeReady();
  }
  Give(std::move(calls));
}

void GroupService::Forget(RequestId request) {
  Waiting dropped;  // its callback is destroyed without the lock
  absl::MutexLock lock(&mutex_);
  auto found = waiting_.find(request);
  if (found == waiting_.end()) return;
  dropped = std::move(found->second);
  waiting_.erase(found);
}

ErrorCode GroupService::Heartbeat(const group::HeartbeatRequest& request) {
  absl::MutexLock lock(&mutex_);
  return stopped_ ? kStopped : coordinator_.Heartbeat(request, Now());
}

// --- Views
// -------------------------------------------------------------------------------------------------------

std::vector<group::CommittedOffset> GroupService::Fetch(
    std::string_view group, const std::vector<group::TopicPartition>& partitions) const {
  absl::MutexLock lock(&mutex_);
  return coordinator_.Fetch(group, partitions);
}

std::vector<std::pair<group::TopicPartition, group::CommittedOffset>> GroupService::FetchAll(
    std::string_view group) const {
  absl::MutexLock lock(&mutex_);
  return coordinator_.FetchAll(group);
}

group::GroupDescription GroupService::Describe(std::string_view group) const {
  absl::MutexLock lock(&mutex_);
  return coordinator_.Describe(group);
}

std::vector<group::GroupListing> GroupService::List(const std::vector<std::string>& states,
                                                    const std::vector<std::string>& types) const {
  absl::MutexLock lock(&mutex_);
  return coordinator_.List(states, types);
}

size_t GroupService::bytes() const {
  absl::MutexLock lock(&mutex_);
  return coordinator_.bytes();
}

// --- What the coordinator wants done
// -----------------------------------------------------------------------------

GroupService::Calls GroupService::TakeReady() {
  Calls calls;
  do {
    group::Ready ready = coordinator_.TakeReady();
    for (group::Answer& answer : ready.answers) {
      auto found = waiting_.find(answer.request);
      if (found == waiting_.end()) continue;  // forgotten
      calls.emplace_back(std::move(found->second.done), std::move(answer.body));
      waiting_.erase(found);
    }
    for (group::Persist& persist : ready.persist) Submit(std::move(persist));
  } while (TellOutcomes());
  return calls;
}

absl::StatusOr<DiskCharge> GroupService::Admit(const group::Persist& persist) {
  size_t bytes = 0;
  for (const group::Write& write : persist.writes) {
    if (write.kind == group::Write::Kind::kPut)
      bytes += kWriteOverhead + write.key.size() + write.value.size();
  }
  // Small, and worth the reserve; but a full disk must not stop the node. Deletions are always taken.
  if (bytes == 0) return DiskCharge();
  return node_.budget().AdmitFromReserve(bytes);
}

void GroupService::Submit(group::Persist persist) {
  const group::PersistId id = persist.id;
  under_way_.push_back({id, std::nullopt});
  auto charge = Admit(persist);
  absl::Status queued = charge.status();
  // Bounded by what the coordinator takes, and by what connections may have under way. In the midst of a
  // rebalance there is nobody who could be told to come back later.
  if (queued.ok()) {
    queued =
        node_.committer().Submit(std::make_unique<WriteTask>(outlet_, std::move(persist), *std::move(charge)),
                                 Committer::Limit::kNone);
  }
  // Told when those before it have come to an end.
  if (!queued.ok()) under_way_.back().outcome = queued;
}

bool GroupService::TellOutcomes() {
  bool told = false;
  while (!under_way_.empty() && under_way_.front().outcome) {
    const UnderWay first = std::move(under_way_.front());
    under_way_.pop_front();
    coordinator_.OnPersisted(first.id, *first.outcome, Now());
    told = true;
  }
  return told;
}

void GroupService::Written(group::PersistId id, const absl::Status& outcome) {
  Calls calls;
  {
    absl::MutexLock lock(&mutex_);
    auto found = std::find_if(under_way_.begin(), under_way_.end(),
                              [&](const UnderWay& each) { return each.id == id; });
    SELVAGE_CHECK(found != under_way_.end());
    found->outcome = outcome;
    if (stopped_) return;
    TellOutcomes();
    calls = TakeReady();
  }
  Give(std::move(calls));
}

void GroupService::Give(Calls calls) {
  for (auto& [done, body] : calls) done(std::move(body));
}

// --- Time
// --------------------------------------------------------------------------------------------------------

void GroupService::Tick() {
  Calls calls;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    coordinator_.Tick(Now());
    calls = TakeReady();
  }
  Give(std::move(calls));
}

absl::Duration GroupService::NextDeadline() const {
  absl::MutexLock lock(&mutex_);
  return coordinator_.NextDeadline();
}

bool GroupService::DeadlineMovedOrStopped() const {
  return stopped_ || coordinator_.NextDeadline() < awaited_;
}

bool GroupService::WaitForDeadline() {
  absl::MutexLock lock(&mutex_);
  while (!stopped_) {
    awaited_ = coordinator_.NextDeadline();
    const absl::Duration wait = awaited_ - node_.clock().Monotonic();
    if (wait <= absl::ZeroDuration()) return true;
    mutex_.AwaitWithTimeout(absl::Condition(this, &GroupService::DeadlineMovedOrStopped), wait);
  }
  return false;
}

void GroupService::Stop() {
  Calls calls;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    for (auto& [id, waiting] : waiting_)
      calls.emplace_back(std::move(waiting.done), std::move(waiting.when_stopped));
    waiting_.clear();
  }
  Give(std::move(calls));
  // Waits for an outcome that is being told, with its callbacks; later ones find nobody.
  absl::MutexLock lock(&outlet_->mutex);
  outlet_->service = nullptr;
}

GroupTimer::GroupTimer(GroupService& service)
    : service_(service), thread_([this] {
        while (service_.WaitForDeadline()) service_.Tick();
      }) {}

GroupTimer::~GroupTimer() {
  service_.Stop();
  thread_.join();
}

}  // namespace selvage::kafka
