#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

/// Two members that have joined generation 1, the leader first.
std::vector<std::string> JoinTwo(TestNode& node) {
  const RequestId first = node.Join(TestNode::NewClient());
  const RequestId second = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  return {node.TakeJoin(first).member_id, node.TakeJoin(second).member_id};
}

TEST(GroupSync, FollowersWaitForTheLeader) {
  TestNode node;
  const auto ids = JoinTwo(node);
  const RequestId follower = node.Sync(ids[1], 1);
  EXPECT_FALSE(node.Answered(follower));
  const RequestId leader = node.Sync(ids[0], 1, {{ids[0], "zero"}, {ids[1], "one"}});
  EXPECT_EQ(node.TakeSync(leader).assignment, "zero");
  const SyncAnswer answer = node.TakeSync(follower);
  EXPECT_EQ(answer.error, ErrorCode::kNone);
  EXPECT_EQ(answer.assignment, "one");
  EXPECT_EQ(answer.protocol, "range");
  EXPECT_EQ(answer.protocol_type, "consumer");
  EXPECT_EQ(node.StateOf(), "Stable");
}

TEST(GroupSync, AStableGroupAnswersAtOnce) {
  TestNode node;
  const auto ids = JoinTwo(node);
  node.Sync(ids[0], 1, {{ids[1], "one"}});
  EXPECT_EQ(node.TakeSync(node.Sync(ids[1], 1)).assignment, "one");
  EXPECT_EQ(node.TakeSync(node.Sync(ids[1], 1)).assignment, "one");
}

TEST(GroupSync, WhoIsNotAssignedAnythingGetsNoBytes) {
  TestNode node;
  const auto ids = JoinTwo(node);
  const RequestId follower = node.Sync(ids[1], 1);
  node.Sync(ids[0], 1, {{ids[0], "zero"}, {"stranger", "x"}});
  EXPECT_EQ(node.TakeSync(follower).error, ErrorCode::kNone);
  EXPECT_EQ(node.coordinator->Describe("g").members[1].assignment, "");
}

TEST(GroupSync, WrongRequestsAreRefused) {
  TestNode node;
  EXPECT_EQ(node.TakeSync(node.Sync("a", 1)).error, ErrorCode::kUnknownMemberId);
  const auto ids = JoinTwo(node);
  EXPECT_EQ(node.TakeSync(node.Sync("stranger", 1)).error, ErrorCode::kUnknownMemberId);
  EXPECT_EQ(node.TakeSync(node.Sync(ids[1], 2)).error, ErrorCode::kIllegalGeneration);
  SyncRequest request;
  EXPECT_EQ(node.TakeSync(node.Sync(request)).error, ErrorCode::kInvalidGroupId);
  request.group = "g";
  request.member_id = ids[1];
  request.generation = 1;
  request.protocol_type = "connect";
  EXPECT_EQ(node.TakeSync(node.Sync(request)).error, ErrorCode::kInconsistentGroupProtocol);
  request.protocol_type = "consumer";
  request.protocol = "sticky";
  EXPECT_EQ(node.TakeSync(node.Sync(request)).error, ErrorCode::kInconsistentGroupProtocol);
}

TEST(GroupSync, ARebalanceEndsTheWait) {
  TestNode node;
  const auto ids = JoinTwo(node);
  const RequestId parked = node.Sync(ids[1], 1);
  node.Join(TestNode::NewClient());
  EXPECT_EQ(node.TakeSync(parked).error, ErrorCode::kRebalanceInProgress);
  EXPECT_EQ(node.TakeSync(node.Sync(ids[0], 1)).error, ErrorCode::kRebalanceInProgress);
}

TEST(GroupSync, ASecondSyncOfAMemberEndsTheFirst) {
  TestNode node;
  const auto ids = JoinTwo(node);
  const RequestId stale = node.Sync(ids[1], 1);
  const RequestId fresh = node.Sync(ids[1], 1);
  EXPECT_EQ(node.TakeSync(stale).error, ErrorCode::kRebalanceInProgress);
  node.Sync(ids[0], 1, {{ids[1], "one"}});
  EXPECT_EQ(node.TakeSync(fresh).assignment, "one");
}

TEST(GroupSync, ALeaderThatNeverSyncsIsDropped) {
  TestNode node;
  const auto ids = JoinTwo(node);
  const RequestId parked = node.Sync(ids[1], 1);
  node.PassWithHeartbeats(absl::Seconds(59), {ids[0]}, 1);
  EXPECT_FALSE(node.Answered(parked));
  node.PassWithHeartbeats(absl::Seconds(1), {ids[0]}, 1);
  EXPECT_EQ(node.TakeSync(parked).error, ErrorCode::kRebalanceInProgress);
  EXPECT_EQ(node.Heartbeat(ids[0], 1), ErrorCode::kUnknownMemberId);
  const RequestId rejoin = node.Join(TestNode::NewClient(ids[1]));
  EXPECT_EQ(node.TakeJoin(rejoin).leader, ids[1]);
}

TEST(GroupSync, AFollowerThatNeverSyncsIsDropped) {
  TestNode node;
  const auto ids = JoinTwo(node);
  node.Sync(ids[0], 1, {});
  EXPECT_EQ(node.StateOf(), "Stable");
  node.PassWithHeartbeats(absl::Seconds(60), ids, 1);
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
  EXPECT_EQ(node.Heartbeat(ids[1], 1), ErrorCode::kUnknownMemberId);
}

TEST(GroupSync, AParkedSyncIsASignOfLife) {
  TestNode node;
  const auto ids = JoinTwo(node);
  const RequestId parked = node.Sync(ids[1], 1);
  node.PassWithHeartbeats(absl::Seconds(30), {ids[0]}, 1);
  EXPECT_FALSE(node.Answered(parked));
  node.Sync(ids[0], 1, {{ids[1], "one"}});
  EXPECT_EQ(node.TakeSync(parked).assignment, "one");
  node.Pass(absl::Seconds(9));
  EXPECT_EQ(node.Heartbeat(ids[1], 1), ErrorCode::kNone);
}

}  // namespace
}  // namespace selvage::kafka::group
