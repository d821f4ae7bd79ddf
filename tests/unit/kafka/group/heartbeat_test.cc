#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

TEST(GroupHeartbeat, TellsHowTheGroupStands) {
  TestNode node;
  EXPECT_EQ(node.coordinator->Heartbeat({"", "a", {}, 1}, node.now), ErrorCode::kInvalidGroupId);
  EXPECT_EQ(node.Heartbeat("a", 1), ErrorCode::kUnknownMemberId);
  const auto ids = node.FormGroup(2);
  EXPECT_EQ(node.Heartbeat(ids[0], 1), ErrorCode::kNone);
  EXPECT_EQ(node.Heartbeat(ids[0], 0), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(node.Heartbeat("stranger", 1), ErrorCode::kUnknownMemberId);

  const RequestId joiner = node.Join(TestNode::NewClient());
  EXPECT_EQ(node.Heartbeat(ids[1], 1), ErrorCode::kRebalanceInProgress);
  node.Join(TestNode::NewClient(ids[0]));
  node.Join(TestNode::NewClient(ids[1]));
  ASSERT_TRUE(node.Answered(joiner));
  EXPECT_EQ(node.StateOf(), "CompletingRebalance");
  EXPECT_EQ(node.Heartbeat(ids[1], 2), ErrorCode::kNone);
  EXPECT_EQ(node.Heartbeat(ids[1], 1), ErrorCode::kIllegalGeneration);
}

TEST(GroupHeartbeat, KeepsASessionAlive) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  node.PassWithHeartbeats(absl::Minutes(5), ids, 1);
  EXPECT_EQ(node.StateOf(), "Stable");
}

TEST(GroupHeartbeat, ASessionWithoutThemEnds) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  node.PassWithHeartbeats(absl::Seconds(10), {ids[0]}, 1);
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
  EXPECT_EQ(node.Heartbeat(ids[1], 1), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(node.Heartbeat(ids[0], 1), ErrorCode::kRebalanceInProgress);
}

TEST(GroupHeartbeat, TheLastSessionThatEndsLeavesAnEmptyGroup) {
  TestNode node;
  node.FormGroup(1);
  node.Pass(absl::Seconds(10));
  EXPECT_EQ(node.StateOf(), "Empty");
  EXPECT_EQ(node.GenerationOf(), 2);
}

}  // namespace
}  // namespace selvage::kafka::group
