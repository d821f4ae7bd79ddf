#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

TEST(GroupRebalance, AnEmptyGroupWaitsTheInitialDelayAndEachJoinerExtendsIt) {
  TestNode node;
  const RequestId first = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(2));
  const RequestId second = node.Join(TestNode::NewClient());
  node.Pass(absl::Milliseconds(2999));
  EXPECT_FALSE(node.Answered(first));
  node.Pass(absl::Milliseconds(1));
  EXPECT_EQ(node.TakeJoin(first).generation, 1);
  EXPECT_EQ(node.TakeJoin(second).generation, 1);
}

TEST(GroupRebalance, JoinersExtendTheInitialDelayUpToTheRebalanceTimeoutOnly) {
  TestNode node;
  JoinRequest request = TestNode::NewClient();
  request.rebalance_timeout = absl::Seconds(7);
  const RequestId first = node.Join(request);
  for (int i = 0; i < 3; ++i) {
    node.Pass(absl::Seconds(2));
    node.Join(request);
  }
  EXPECT_FALSE(node.Answered(first));
  node.Pass(absl::Seconds(1));
  EXPECT_EQ(node.TakeJoin(first).members.size(), 4u);
}

TEST(GroupRebalance, WithoutAnInitialDelayTheFirstGenerationBeginsAtOnce) {
  Settings settings;
  settings.initial_rebalance_delay = absl::ZeroDuration();
  TestNode node(settings);
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewClient())).generation, 1);
}

TEST(GroupRebalance, ANewMemberWaitsForAllToRejoin) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  const RequestId joiner = node.Join(TestNode::NewClient());
  const RequestId first = node.Join(TestNode::NewClient(ids[0]));
  EXPECT_FALSE(node.Answered(joiner));
  const RequestId second = node.Join(TestNode::NewClient(ids[1]));
  EXPECT_EQ(node.FinishRebalance({first, second, joiner}), 2);
}

TEST(GroupRebalance, WhoDoesNotRejoinInTimeIsOut) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  const RequestId joiner = node.Join(TestNode::NewClient());
  const RequestId first = node.Join(TestNode::NewClient(ids[0]));
  node.PassWithHeartbeats(absl::Seconds(59), {ids[1]}, 1);
  EXPECT_FALSE(node.Answered(joiner));
  node.PassWithHeartbeats(absl::Seconds(1), {ids[1]}, 1);
  EXPECT_EQ(node.TakeJoin(first).members.size(), 2u);
  EXPECT_EQ(node.TakeJoin(joiner).generation, 2);
  EXPECT_EQ(node.Heartbeat(ids[1], 1), ErrorCode::kUnknownMemberId);
}

TEST(GroupRebalance, TheLongestRebalanceTimeoutHolds) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  JoinRequest patient = TestNode::NewClient();
  patient.rebalance_timeout = absl::Seconds(100);
  const RequestId join = node.Join(patient);
  node.PassWithHeartbeats(absl::Seconds(99), {ids[0]}, 1);
  EXPECT_FALSE(node.Answered(join));
  node.PassWithHeartbeats(absl::Seconds(1), {ids[0]}, 1);
  EXPECT_EQ(node.TakeJoin(join).leader, node.coordinator->Describe("g").members[0].member_id);
}

TEST(GroupRebalance, WithoutARebalanceTimeoutTheSessionTimeoutIsTaken) {
  TestNode node;
  JoinRequest old_client = TestNode::NewClient();
  old_client.rebalance_timeout = absl::ZeroDuration();
  const RequestId first = node.Join(old_client);
  node.Pass(absl::Seconds(3));
  const std::string id = node.TakeJoin(first).member_id;
  node.Sync(id, 1);
  const RequestId joiner = node.Join(old_client);
  node.PassWithHeartbeats(absl::Seconds(10), {id}, 1);
  EXPECT_EQ(node.TakeJoin(joiner).generation, 2);
}

TEST(GroupRebalance, ALeaderThatIsGoneIsReplacedByTheOldestThatJoined) {
  TestNode node;
  const auto ids = node.FormGroup(3);
  const RequestId third = node.Join([&] {
    JoinRequest changed = TestNode::NewClient(ids[2]);
    changed.protocols = {{"range", "more topics"}};
    return changed;
  }());
  const RequestId second = node.Join(TestNode::NewClient(ids[1]));
  node.Pass(absl::Seconds(10));  // the leader's session ends
  EXPECT_EQ(node.TakeJoin(second).leader, ids[1]);
  EXPECT_EQ(node.TakeJoin(third).leader, ids[1]);
}

TEST(GroupRebalance, AParkedJoinIsASignOfLife) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  const RequestId parked = node.Join(TestNode::NewClient(ids[0]));
  node.PassWithHeartbeats(absl::Seconds(40), {ids[1]}, 1);
  EXPECT_FALSE(node.Answered(parked));
  const RequestId other = node.Join(TestNode::NewClient(ids[1]));
  EXPECT_EQ(node.TakeJoin(parked).members.size(), 2u);
  EXPECT_EQ(node.TakeJoin(other).generation, 2);
}

TEST(GroupRebalance, AMemberThatWasNeverInAGenerationWaitsFiveMinutesAtMost) {
  TestNode node;
  JoinRequest slow = TestNode::NewClient();
  slow.rebalance_timeout = absl::Minutes(20);
  const RequestId first = node.Join(slow);
  node.Pass(absl::Seconds(3));
  const std::string id = node.TakeJoin(first).member_id;
  node.Sync(id, 1);
  const RequestId joiner = node.Join(slow);
  node.PassWithHeartbeats(absl::Minutes(5) - absl::Seconds(1), {id}, 1);
  EXPECT_FALSE(node.Answered(joiner));
  node.PassWithHeartbeats(absl::Seconds(1), {id}, 1);
  EXPECT_EQ(node.TakeJoin(joiner).error, ErrorCode::kUnknownMemberId);
}

TEST(GroupRebalance, WaitsForClientsThatWereGivenAnIdButNotForEver) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  JoinRequest request = TestNode::NewClient();
  request.require_member_id = true;
  EXPECT_EQ(node.TakeJoin(node.Join(request)).error, ErrorCode::kMemberIdRequired);
  EXPECT_EQ(node.StateOf(), "Stable");
  const RequestId leader = node.Join(TestNode::NewClient(ids[0]));
  EXPECT_FALSE(node.Answered(leader));
  node.Pass(absl::Seconds(10));
  EXPECT_EQ(node.TakeJoin(leader).generation, 2);
}

TEST(GroupRebalance, TheLastMemberMayGoWhileOthersWereOnlyGivenAnId) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  JoinRequest request = TestNode::NewClient();
  request.require_member_id = true;
  request.member_id = node.TakeJoin(node.Join(request)).member_id;
  EXPECT_EQ(node.Take<LeaveAnswer>(node.Leave({{ids[0], std::nullopt}})).members[0], ErrorCode::kNone);
  EXPECT_EQ(node.StateOf(), "Empty");
  EXPECT_EQ(node.GenerationOf(), 2);
  const RequestId join = node.Join(request);
  node.Pass(absl::Seconds(3));
  EXPECT_EQ(node.TakeJoin(join).generation, 3);
}

TEST(GroupRebalance, RequestsThatArriveWhileAGenerationIsWrittenTakeTheirTurn) {
  TestNode node;
  const RequestId first = node.Join(TestNode::NewClient());
  node.hold_writes = true;
  node.Pass(absl::Seconds(3));
  ASSERT_EQ(node.held.size(), 1u);
  EXPECT_FALSE(node.Answered(first));
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
  const RequestId late = node.Join(TestNode::NewClient());
  node.hold_writes = false;
  node.FinishWrite();
  node.Pump();
  const JoinAnswer answer = node.TakeJoin(first);
  EXPECT_EQ(answer.members.size(), 1u);
  EXPECT_EQ(node.TakeSync(node.Sync(answer.member_id, 1)).error, ErrorCode::kRebalanceInProgress);
  const RequestId again = node.Join(TestNode::NewClient(answer.member_id));
  EXPECT_EQ(node.FinishRebalance({again, late}), 2);
}

}  // namespace
}  // namespace selvage::kafka::group
