#include "tests/simulation/sim_consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/simulation/sim_node.h"

namespace selvage::sim {
namespace {

using kafka::ErrorCode;

constexpr int kPartitions = 4;
constexpr size_t kFormer = 4;
/// The first outlives all streams.
constexpr const char* kTopics[] = {"topic", "stream-0", "stream-1", "edge-0.stream-1"};

/// An assignment says of which generation it is.
std::string Assignment(int32_t generation, const std::vector<int32_t>& partitions) {
  return fmt::format("{}:{}", generation, absl::StrJoin(partitions, ","));
}

}  // namespace

SimConsumer::SimConsumer(Surroundings world, SimNode& node, std::string group, std::string instance)
    : world_(world), node_(node), group_(std::move(group)), instance_(std::move(instance)) {}

std::optional<std::string> SimConsumer::instance() const {
  return instance_.empty() ? std::nullopt : std::optional(instance_);
}

void SimConsumer::Wake() {
  steps_left_ = static_cast<int>(world_.random.Between(3, 30));
  StepSoon();
}

void SimConsumer::StepSoon() {
  if (step_scheduled_ || steps_left_ == 0) return;
  --steps_left_;
  step_scheduled_ = true;
  world_.time.After(absl::Milliseconds(world_.random.Spread(5, 10'000)), [this] {
    step_scheduled_ = false;
    Step();
  });
}

void SimConsumer::Step() {
  if (!node_.up() || node_.disk().dead()) return;  // until it is woken again
  StepSoon();
  if (waiting_) {
    if (!world_.random.OneIn(20)) return;
    // Its connection is gone, and with it the answer.
    waiting_ = false;
    ++request_;
    return;
  }
  if (!former_.empty() && world_.random.OneIn(4)) return Commit(world_.random.Pick(former_));
  if (now_.generation < 0) return Join();
  if (!now_.synced) return Sync();
  switch (world_.random.Below(16)) {
    case 0:
      return Leave();
    case 1:
      return StartOver();
    case 2:
      return Rejoin();
    case 3:
      return node_.CheckOffsets();
    case 4:
    case 5:
    case 6:
      return Heartbeat();
    default:
      return Commit(now_);
  }
}

template <class Answer>
std::function<void(Answer)> SimConsumer::Await(void (SimConsumer::*then)(const Answer&)) {
  waiting_ = true;
  return [this, then, request = ++request_](const Answer& answer) {
    if (request != request_) return;
    waiting_ = false;
    (this->*then)(answer);
  };
}

void SimConsumer::Join() {
  kafka::group::JoinRequest request;
  request.group = group_;
  request.member_id = now_.id;
  request.instance_id = instance();
  request.client_id = "simulated";
  request.session_timeout = absl::Seconds(world_.random.Spread(6, 1'000));
  request.rebalance_timeout = absl::Seconds(world_.random.Spread(1, 60));
  request.protocol_type = "consumer";
  request.protocols = {{"range", "opaque"}};
  request.require_member_id = world_.random.OneIn(2);
  request.supports_skip_assignment = world_.random.OneIn(2);
  node_.groups().Join(std::move(request), Await<kafka::group::JoinAnswer>(&SimConsumer::Joined));
}

void SimConsumer::Joined(const kafka::group::JoinAnswer& answer) {
  if (answer.error == ErrorCode::kMemberIdRequired) {
    now_.id = answer.member_id;
    return;
  }
  if (answer.error != ErrorCode::kNone) return Heed(answer.error);
  world_.time.Trace("{}: {} is {} in generation {}", node_.name(), answer.member_id, group_,
                    answer.generation);
  node_.Told(group_, answer.generation);
  // Of one instance there is one member: the new one takes the place of those before.
  for (const Membership& former : former_) {
    if (!instance_.empty() && former.id != answer.member_id)
      node_.shadow().generations.Replaced(group_, former.id);
  }
  now_ = {answer.member_id, answer.generation};
  others_.clear();
  skips_assignment_ = answer.skip_assignment;
  if (answer.leader != answer.member_id) return;
  for (const auto& member : answer.members) others_.push_back(member.member_id);
}

void SimConsumer::Sync() {
  kafka::group::SyncRequest request;
  request.group = group_;
  request.member_id = now_.id;
  request.instance_id = instance();
  request.generation = now_.generation;
  for (size_t i = 0; i < others_.size() && !skips_assignment_; ++i) {
    std::vector<int32_t> partitions;
    for (size_t partition = i; partition < kPartitions; partition += others_.size()) {
      partitions.push_back(static_cast<int32_t>(partition));
    }
    request.assignments.push_back({others_[i], Assignment(now_.generation, partitions)});
  }
  node_.groups().Sync(std::move(request), Await<kafka::group::SyncAnswer>(&SimConsumer::Synced));
}

void SimConsumer::Synced(const kafka::group::SyncAnswer& answer) {
  if (answer.error != ErrorCode::kNone) return Heed(answer.error);
  now_.synced = true;
  if (answer.assignment.empty()) return;  // its leader knew another id of it, or assigned nothing
  const std::vector<std::string> parts = absl::StrSplit(answer.assignment, ':');
  if (parts[0] != std::to_string(now_.generation)) {
    return world_.time.Violate(fmt::format("{}: {} is assigned {} in generation {}", node_.name(), now_.id,
                                           answer.assignment, now_.generation));
  }
  for (absl::string_view part : absl::StrSplit(parts[1], ',', absl::SkipEmpty())) {
    int32_t partition = 0;
    if (absl::SimpleAtoi(part, &partition)) now_.partitions.push_back(partition);
  }
}

void SimConsumer::Leave() {
  waiting_ = true;
  node_.groups().Leave({group_, {{now_.id, instance()}}},
                       [this, id = now_.id, request = ++request_](const kafka::group::LeaveAnswer& answer) {
                         const bool left =
                             answer.error == ErrorCode::kNone && answer.members[0] == ErrorCode::kNone;
                         if (left) node_.shadow().generations.Left(group_, id);
                         if (request == request_) waiting_ = false;
                       });
  StartOver();
}

void SimConsumer::Heartbeat() {
  const ErrorCode error = node_.groups().Heartbeat({group_, now_.id, instance(), now_.generation});
  if (error != ErrorCode::kNone) Heed(error);
}

void SimConsumer::Commit(const Membership& as) {
  const int32_t partition = as.partitions.empty() ? static_cast<int32_t>(world_.random.Below(kPartitions))
                                                  : as.partitions[world_.random.Below(as.partitions.size())];
  const test::CommitModel::Place place{group_, {kTopics[world_.random.Below(std::size(kTopics))], partition}};
  const std::string fenced = node_.shadow().generations.Fenced(group_, as.id, as.generation);
  test::CommitModel& committed = node_.shadow().committed;
  const int64_t offset = fenced.empty() ? committed.Submit(place) : committed.SubmitForbidden();
  const bool current = as.id == now_.id && as.generation == now_.generation;
  if (current) waiting_ = true;
  const uint64_t request = current ? ++request_ : 0;
  node_.groups().Commit(
      {group_, as.id, instance(), as.generation, {{place.at, offset, -1, "simulated"}}},
      [this, place, offset, fenced, request, id = as.id,
       generation = as.generation](const kafka::group::CommitAnswer& answer) {
        const ErrorCode error = answer.partitions[0];
        world_.time.Trace("{}: offset {} of {} in generation {} of {}: {}", node_.name(), offset, id,
                          generation, group_, static_cast<int>(error));
        if (error == ErrorCode::kNone && !fenced.empty()) {
          world_.time.Violate(fmt::format("{}: {} of generation {} of {} may commit, although {}",
                                          node_.name(), id, generation, group_, fenced));
        }
        if (error == ErrorCode::kNone) node_.shadow().committed.Acknowledged(place, offset);
        if (request == 0 || request != request_) return;
        waiting_ = false;
        if (error != ErrorCode::kNone) Heed(error);
      });
}

void SimConsumer::Rejoin() {
  if (now_.generation >= 0) former_.push_back(now_);
  if (former_.size() > kFormer) former_.erase(former_.begin());
  now_ = {now_.id};
}

void SimConsumer::StartOver() {
  Rejoin();
  now_.id.clear();
}

/// As clients do. What the coordinator cannot do now is tried again.
void SimConsumer::Heed(ErrorCode error) {
  switch (error) {
    case ErrorCode::kUnknownMemberId:
    case ErrorCode::kFencedInstanceId:
      return StartOver();
    case ErrorCode::kIllegalGeneration:
    case ErrorCode::kRebalanceInProgress:
      return Rejoin();
    default:
      return;
  }
}

}  // namespace selvage::sim
