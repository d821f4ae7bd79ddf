#include <thread>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "fabric/kafka/group/stored.h"
#include "fabric/node/node_state.h"
#include "tests/unit/kafka/group_service/group_node.h"

namespace selvage::kafka::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

group::CommitRequest OffsetOf(int64_t offset) {
  return {"g", "", std::nullopt, -1, {{{"t", 0}, offset, -1, ""}}};
}

TEST(GroupService, ACommitIsAnsweredAfterTheSync) {
  GroupNode node;
  node.commits = false;
  std::vector<ErrorCode> answered;
  node.service->Commit(OffsetOf(5), [&](group::CommitAnswer answer) { answered = answer.partitions; });
  EXPECT_THAT(answered, IsEmpty());
  EXPECT_EQ(node.service->Fetch("g", {{"t", 0}})[0].offset, -1) << "what is not durable is not shown";
  node.state->committer().CommitOnce();
  EXPECT_THAT(answered, ElementsAre(ErrorCode::kNone));
  EXPECT_EQ(node.service->Fetch("g", {{"t", 0}})[0].offset, 5);
}

TEST(GroupService, CommitsTakeEffectInTheirOrder) {
  GroupNode node;
  node.commits = false;
  for (int64_t offset : {5, 9, 7}) node.service->Commit(OffsetOf(offset), [](auto) {});
  node.commits = true;
  node.Pump();
  EXPECT_EQ(node.Committed(), 7);
  node.Restart();
  EXPECT_EQ(node.Committed(), 7);
}

TEST(GroupService, ARestartKeepsOffsetsMembersAndGenerations) {
  GroupNode node;
  const std::vector<std::string> ids = node.FormGroup(2);
  ASSERT_THAT(ids, SizeIs(2));
  group::CommitRequest commit = OffsetOf(12);
  commit.member_id = ids[1];
  commit.generation = 1;
  commit.partitions[0].metadata = "note";
  node.service->Commit(commit, [](auto) {});
  node.Pump();
  node.Restart();
  EXPECT_EQ(node.service->Fetch("g", {{"t", 0}})[0].offset, 12);
  EXPECT_EQ(node.service->Fetch("g", {{"t", 0}})[0].metadata, "note");
  EXPECT_EQ(node.Describe().state, "Stable");
  EXPECT_EQ(node.Describe().generation, 1);
  EXPECT_EQ(node.service->Heartbeat({"g", ids[0], std::nullopt, 1}), ErrorCode::kNone);
}

TEST(GroupService, AFailingDiskRefusesAndKeepsWhatWas) {
  GroupNode node;
  EXPECT_EQ(node.Commit(5), ErrorCode::kNone);
  node.store.fails = true;
  EXPECT_EQ(node.Commit(6), ErrorCode::kCoordinatorNotAvailable);
  EXPECT_TRUE(node.disk_failed);
  EXPECT_EQ(node.Committed(), 5);
  // The committer takes nothing any more; that is told at once, and in order.
  EXPECT_EQ(node.Commit(7), ErrorCode::kCoordinatorNotAvailable);
  node.store.fails = false;
  node.disk_failed = false;
  node.Restart();
  EXPECT_EQ(node.Committed(), 5);
  EXPECT_EQ(node.Commit(8), ErrorCode::kNone);
  EXPECT_EQ(node.Committed(), 8);
}

TEST(GroupService, WhatWaitsWhenTheDiskFailsIsToldSo) {
  GroupNode node;
  auto join = node.Send<JoinGroupResponse>(GroupNode::Joining(), 3);
  node.store.fails = true;
  node.Pass(absl::Seconds(4));
  ASSERT_TRUE(join->response);
  EXPECT_EQ(join->response->error_code, ErrorCode::kCoordinatorNotAvailable);
}

TEST(GroupService, StoppingAnswersWhatIsParked) {
  GroupNode node;
  auto join = node.Send<JoinGroupResponse>(GroupNode::Joining(), 3);
  EXPECT_FALSE(join->ended);
  node.service->Stop();
  node.Pump();
  ASSERT_TRUE(join->response);
  EXPECT_EQ(join->response->error_code, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.Commit(1), ErrorCode::kCoordinatorNotAvailable) << "and all that comes later";
}

TEST(GroupService, OutcomesAfterItsEndFindNobody) {
  GroupNode node;
  node.commits = false;
  int calls = 0;
  node.service->Commit(OffsetOf(5), [&](auto) { ++calls; });
  node.context.reset();
  node.service.reset();
  EXPECT_EQ(calls, 1) << "refused by Stop";
  node.state->committer().CommitOnce();
  EXPECT_EQ(calls, 1);
  node.commits = true;
  node.Restart();
  EXPECT_EQ(node.Committed(), 5) << "an unanswered commit may be durable";
}

TEST(GroupService, ARequestOfAConnectionThatIsGoneIsDropped) {
  GroupNode node;
  auto join = node.Send<JoinGroupResponse>(GroupNode::Joining(), 3);
  std::weak_ptr<Signal> waiting = join->call->closed();
  join->Close();
  node.Pump();
  EXPECT_TRUE(join->ended);
  join.reset();
  EXPECT_TRUE(waiting.expired()) << "nothing of the connection is kept";
  node.Pass(absl::Seconds(4));
  EXPECT_THAT(node.Describe().members, SizeIs(1)) << "a member leaves by its timeout";
  node.Pass(absl::Minutes(2));
  EXPECT_THAT(node.Describe().members, IsEmpty());
}

TEST(GroupService, ADamagedDocumentIsAnAlarmAndTheRestIsThere) {
  GroupNode node;
  EXPECT_EQ(node.Commit(5), ErrorCode::kNone);
  EXPECT_EQ(node.Commit(6, 1), ErrorCode::kNone);
  auto batch = node.store.NewBatch();
  batch->Put(Family::kGroup, group::OffsetKey("g", {"t", 0}), {"\x08"});
  ASSERT_TRUE(node.store.Write(*batch, true).ok());
  node.Restart();
  EXPECT_EQ(node.Committed(0), -1);
  EXPECT_EQ(node.Committed(1), 6);
  const auto alarms = node.state->alarms().All(false);
  ASSERT_THAT(alarms, SizeIs(1));
  EXPECT_EQ(alarms[0].kind(), "group_damaged");
  EXPECT_EQ(alarms[0].subject(), "g");
}

TEST(GroupService, OffsetsDoNotExpireWhenTheWallClockJumps) {
  GroupNode node;
  EXPECT_EQ(node.Commit(5), ErrorCode::kNone);
  node.clock.JumpTo(node.clock.Wall() + absl::Hours(24 * 365));
  node.Restart();
  node.Pass(absl::Minutes(30));
  EXPECT_EQ(node.Committed(), 5);
  node.Pass(absl::Hours(8 * 24));
  EXPECT_EQ(node.Committed(), -1) << "but they do with time";
}

TEST(GroupService, OffsetsGoWithTheirStream) {
  GroupNode node;
  const auto commit = [&](const std::string& topic) {
    node.service->Commit({"g", "", std::nullopt, -1, {{{topic, 0}, 5, -1, ""}}}, [](auto) {});
  };
  const auto create = [&](const std::string& name) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_partitions(1);
    definition.set_direction(v1::LOCAL);
    ASSERT_TRUE(node.state->catalog().Put(*CompleteDefinition(definition)).ok());
    ASSERT_TRUE(node.state->streams().CreateLogs(definition).ok());
  };
  create("t");
  create("own.t");
  // The last is an origin topic of the stream `orders.t`.
  for (const char* topic : {"t", "rig-7.t", "own.t", "tt", "rig-7.orders.t"}) commit(topic);
  node.Pump();
  // One is on its way to the disk meanwhile.
  node.commits = false;
  node.service->Commit({"h", "", std::nullopt, -1, {{{"t", 1}, 5, -1, ""}}}, [](auto) {});
  node.commits = true;
  ASSERT_TRUE(node.state->streams().Delete("t").ok());
  node.Pump();
  for (int restarted = 0; restarted < 2; ++restarted) {
    std::vector<std::string> left;
    for (const auto& [at, committed] : node.service->FetchAll("g")) left.push_back(at.topic);
    EXPECT_THAT(left, ElementsAre("own.t", "rig-7.orders.t", "tt"));
    EXPECT_THAT(node.service->FetchAll("h"), IsEmpty());
    node.Restart();
  }
}

TEST(GroupService, AFullDiskRefusesCommitsAndGoesOn) {
  GroupNode node;
  EXPECT_EQ(node.Commit(5), ErrorCode::kNone);
  node.state->budget().Measured(/*file_bytes=*/1 << 20, /*free_bytes=*/0);
  EXPECT_EQ(node.Commit(6), ErrorCode::kCoordinatorNotAvailable);
  EXPECT_FALSE(node.disk_failed);
  EXPECT_EQ(node.Committed(), 5);
  node.state->budget().Measured(1 << 20, 1 << 30);
  EXPECT_EQ(node.Commit(7), ErrorCode::kNone);
}

TEST(GroupService, TheTimerTicks) {
  NodeState::Options options;
  options.node = "rig";
  MemoryStore store;
  NodeState state(options, store, SystemClock(), SystemRandom());
  CommitterThread committer(state.committer());
  ASSERT_TRUE(state.Open({}).ok());
  group::Settings settings;
  settings.initial_rebalance_delay = absl::Milliseconds(500);
  GroupService service(GroupService::PartsOf(state), settings);
  ASSERT_TRUE(service.Open().ok());
  GroupTimer timer(service);
  std::vector<std::unique_ptr<absl::Notification>> joined;
  absl::Mutex mutex;
  std::vector<group::JoinAnswer> answers;
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    joined.push_back(std::make_unique<absl::Notification>());
    clients.emplace_back([&, done = joined.back().get()] {
      group::JoinRequest request;
      request.group = "g";
      request.session_timeout = absl::Seconds(10);
      request.rebalance_timeout = absl::Seconds(10);
      request.protocol_type = "consumer";
      request.protocols = {{"range", ""}};
      service.Join(std::move(request), [&, done](group::JoinAnswer answer) {
        absl::MutexLock lock(&mutex);
        answers.push_back(std::move(answer));
        done->Notify();
      });
    });
  }
  for (std::thread& client : clients) client.join();
  for (auto& done : joined) ASSERT_TRUE(done->WaitForNotificationWithTimeout(absl::Seconds(30)));
  absl::MutexLock lock(&mutex);
  EXPECT_THAT(answers, SizeIs(3));
  for (const auto& answer : answers) EXPECT_EQ(answer.error, ErrorCode::kNone);
}

}  // namespace
}  // namespace selvage::kafka::test
