#include "tests/unit/kafka/group/group_world.h"

#include <fmt/format.h>

#include <algorithm>

namespace selvage::kafka::group {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(500);
constexpr absl::Duration kLongestSession = absl::Seconds(15);
constexpr absl::Duration kLongestRebalance = absl::Seconds(20);
// A write's own time, twice: one that is under way and the own one; and the steps of this world.
constexpr absl::Duration kSlack = absl::Seconds(10);

}  // namespace

GroupWorld::GroupWorld(uint64_t seed) : random_(seed) {
  settings_.initial_rebalance_delay = absl::Seconds(random_.Below(4));
  settings_.offset_retention = absl::Hours(1);
  coordinator_ = std::make_unique<Coordinator>(settings_, random_, now_.monotonic);
  failing_ = random_.OneIn(3) ? 0 : random_.Unit() * 0.3;
  const size_t clients = random_.Between(1, 10);
  for (size_t i = 0; i < clients; ++i) {
    Client client;
    client.index = i;
    client.is_static = random_.OneIn(3);
    client.version =
        client.is_static ? static_cast<int>(random_.Between(5, 9)) : static_cast<int>(random_.Below(10));
    client.session_timeout = absl::Seconds(random_.Between(6, 15));
    client.rebalance_timeout = absl::Seconds(random_.Between(5, 20));
    client.act_at = now_.monotonic + absl::Milliseconds(random_.Below(20'000));
    clients_.push_back(client);
  }
}

std::string GroupWorld::Run() {
  for (int i = 0; i < 360 && failure_.empty(); ++i) Step(true);
  failing_ = 0;
  for (Client& client : clients_) client.up = true;
  for (int i = 0; i < 200 && failure_.empty(); ++i) Step(false);
  if (failure_.empty()) CheckTogether();
  return failure_;
}

void GroupWorld::Step(bool faults) {
  now_.monotonic += kStep;
  now_.wall_ms += absl::ToInt64Milliseconds(kStep);
  FinishWrites(faults);
  if (coordinator_->NextDeadline() <= now_.monotonic) coordinator_->Tick(now_);
  Pump(faults);
  for (Client& client : clients_) {
    if (now_.monotonic >= client.act_at) Act(client, faults);
    Pump(faults);
  }
  if (random_.OneIn(20)) SendCommit(nullptr);
  Pump(faults);
  coordinator_->CheckInvariants();
  CheckTimes();
  if (faults && random_.OneIn(80)) Crash();
}

void GroupWorld::Pump(bool faults) {
  Ready ready = coordinator_->TakeReady();
  for (Persist& persist : ready.persist) {
    const bool fails = faults && random_.Chance(failing_);
    const auto time = random_.OneIn(10) ? random_.Below(3000) : random_.Below(50);
    const absl::Duration after = writing_.empty() ? now_.monotonic : writing_.back().done_at;
    const absl::Duration done = std::max(after, now_.monotonic + absl::Milliseconds(time));
    writing_.push_back({std::move(persist), done, fails, !fails || random_.OneIn(4)});
  }
  for (const Answer& answer : ready.answers) Deliver(answer);
}

void GroupWorld::WriteDown(const Persist& persist) {
  for (const Write& write : persist.writes) {
    if (write.kind == Write::Kind::kPut) {
      disk_[write.key] = write.value;
    } else if (write.kind == Write::Kind::kDelete) {
      disk_.erase(write.key);
    } else {
      disk_.erase(disk_.lower_bound(write.key), disk_.lower_bound(write.value));
    }
  }
}

void GroupWorld::FinishWrites(bool faults) {
  while (!writing_.empty() && writing_.front().done_at <= now_.monotonic) {
    const Writing done = std::move(writing_.front());
    writing_.pop_front();
    if (done.durable) WriteDown(done.persist);
    if (done.fails) preparing_since_ = absl::InfiniteDuration();
    coordinator_->OnPersisted(
        done.persist.id, done.fails ? absl::UnavailableError("the disk failed") : absl::OkStatus(), now_);
    Pump(faults);
  }
}

// What was being written may have become durable, in order; nobody hears of it.
void GroupWorld::Crash() {
  ++restarts_;
  while (!writing_.empty() && random_.OneIn(2)) {
    if (writing_.front().durable) WriteDown(writing_.front().persist);
    writing_.pop_front();
  }
  writing_.clear();
  open_.clear();
  preparing_since_ = absl::InfiniteDuration();
  coordinator_ = std::make_unique<Coordinator>(settings_, random_, now_.monotonic);
  for (const auto& [key, value] : disk_) {
    if (!coordinator_->Restore(key, value, now_).ok()) Fail("a stored document was refused");
  }
  if (coordinator_->Describe("g").generation < heard_generation_) Fail("a generation was forgotten");
  CheckOffsets();
  for (Client& client : clients_) {
    if (client.waiting == 0) continue;
    client.waiting = 0;
    if (client.phase != Phase::kMember) client.phase = Phase::kOut;
    client.act_at = now_.monotonic + absl::Milliseconds(random_.Below(2000));
  }
}

RequestId GroupWorld::NewRequest(Request request, absl::Duration at_most) {
  request.deadline = now_.monotonic + at_most + kSlack;
  open_.emplace(++last_request_, std::move(request));
  return last_request_;
}

void GroupWorld::Deliver(const Answer& answer) {
  const auto found = open_.find(answer.request);
  if (found == open_.end()) return Fail(fmt::format("request {} was answered twice", answer.request));
  const Request request = std::move(found->second);
  open_.erase(found);
  const auto* join = std::get_if<JoinAnswer>(&answer.body);
  const auto* sync = std::get_if<SyncAnswer>(&answer.body);
  const auto* commit = std::get_if<CommitAnswer>(&answer.body);
  if ((join != nullptr) != (request.kind == Request::Kind::kJoin) ||
      (sync != nullptr) != (request.kind == Request::Kind::kSync) ||
      (commit != nullptr) != (request.kind == Request::Kind::kCommit)) {
    return Fail("an answer is of another kind than its request");
  }
  if (join != nullptr && join->error == ErrorCode::kNone) CheckJoin(request, *join);
  if (sync != nullptr && sync->error == ErrorCode::kNone) CheckSync(request, *sync);
  if (commit != nullptr) CheckCommit(request, *commit);
  if (request.client == kOutsider) return;
  Client& client = clients_[request.client];
  if (client.waiting != answer.request) return;
  client.waiting = 0;
  if (join != nullptr) OnJoined(client, *join);
  if (sync != nullptr) OnSynced(client, *sync);
}

v1::StoredGroup GroupWorld::Stored() const {
  v1::StoredGroup document;
  const auto found = disk_.find(GroupKey("g"));
  if (found != disk_.end()) document.ParseFromString(found->second);
  return document;
}

void GroupWorld::CheckJoin(const Request& request, const JoinAnswer& answer) {
  const v1::StoredGroup stored = Stored();
  if (answer.generation < heard_generation_) Fail("a generation is older than one that was heard of");
  heard_generation_ = std::max(heard_generation_, answer.generation);
  if (stored.generation() != answer.generation) Fail("a generation was heard of that is not durable");
  const bool known = std::any_of(stored.members().begin(), stored.members().end(),
                                 [&](const auto& member) { return member.member_id() == answer.member_id; });
  if (!known) Fail("a member was heard of that is not durable");
  if (answer.leader != answer.member_id || answer.skip_assignment) return;
  const auto [leader, first] = assigner_.emplace(answer.generation, request.client);
  if (!first && leader->second != request.client) Fail("a generation has two leaders");
}

void GroupWorld::CheckSync(const Request& request, const SyncAnswer& answer) {
  if (!Stored().assigned() || Stored().generation() != request.generation) {
    Fail("an assignment was handed out that is not durable");
  }
  const size_t colon = answer.assignment.find(':');
  if (colon == std::string::npos) return Fail("a member was assigned nothing");
  if (answer.assignment.substr(colon + 1) != std::to_string(request.client))
    Fail("a member has another's assignment");
  const auto [assigned, first] = assigned_.emplace(request.generation, answer.assignment.substr(0, colon));
  if (!first && assigned->second != answer.assignment.substr(0, colon))
    Fail("a generation was assigned twice");
}

void GroupWorld::CheckCommit(const Request& request, const CommitAnswer& answer) {
  size_t place = 0;
  for (const auto& [partition, offset] : request.offsets) {
    if (answer.partitions[place++] != ErrorCode::kNone) continue;
    const auto found = disk_.find(OffsetKey("g", {"t", partition}));
    v1::StoredOffset stored;
    if (found == disk_.end() || !stored.ParseFromString(found->second) || stored.offset() != offset) {
      Fail("a commit was acknowledged that is not durable");
    }
    acknowledged_[partition] = std::max(acknowledged_[partition], offset);
  }
  CheckOffsets();
}

void GroupWorld::CheckOffsets() {
  for (int32_t partition = 0; partition < kPartitions; ++partition) {
    const int64_t offset = coordinator_->Fetch("g", {{"t", partition}})[0].offset;
    if (acknowledged_.contains(partition) && offset < acknowledged_[partition])
      Fail("a committed offset was lost");
    if (offset >= 0 && offset > sent_[partition]) Fail("an offset is committed that nobody sent");
  }
}

void GroupWorld::CheckTimes() {
  for (const auto& [id, request] : open_) {
    if (now_.monotonic > request.deadline) {
      Fail(fmt::format("request {} of kind {} waits too long", id, static_cast<int>(request.kind)));
    }
  }
  if (coordinator_->Describe("g").state != "PreparingRebalance") {
    preparing_since_ = absl::InfiniteDuration();
  } else if (preparing_since_ == absl::InfiniteDuration()) {
    preparing_since_ = now_.monotonic;
  } else if (now_.monotonic - preparing_since_ > kLongestRebalance + kLongestSession + kSlack) {
    Fail("a rebalance does not end");
  }
}

void GroupWorld::CheckTogether() {
  const GroupDescription group = coordinator_->Describe("g");
  if (group.state != "Stable") return Fail("the group does not become stable: " + group.state);
  if (group.members.size() != clients_.size()) Fail("not all clients, or not only they, are members");
  for (const Client& client : clients_) {
    if (client.phase != Phase::kMember || client.generation != group.generation) {
      Fail(fmt::format("client {} is not in the last generation", client.index));
    }
  }
}

void GroupWorld::Fail(const std::string& what) {
  if (failure_.empty()) failure_ = fmt::format("{} at {}", what, absl::FormatDuration(now_.monotonic));
}

}  // namespace selvage::kafka::group
