#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

std::vector<ErrorCode> Errors(TestNode& node, std::vector<LeaveRequest::Member> members) {
  return node.Take<LeaveAnswer>(node.Leave(std::move(members))).members;
}

TEST(GroupLeave, BeginsARebalance) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  EXPECT_EQ(Errors(node, {{ids[0], std::nullopt}}), std::vector{ErrorCode::kNone});
  EXPECT_EQ(node.Heartbeat(ids[1], 1), ErrorCode::kRebalanceInProgress);
  const JoinAnswer answer = node.TakeJoin(node.Join(TestNode::NewClient(ids[1])));
  EXPECT_EQ(answer.leader, ids[1]);
  EXPECT_EQ(answer.generation, 2);
}

TEST(GroupLeave, CompletesARebalanceThatWaitedForTheMember) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  const RequestId join = node.Join(TestNode::NewClient(ids[0]));
  EXPECT_FALSE(node.Answered(join));
  Errors(node, {{ids[1], std::nullopt}});
  EXPECT_EQ(node.TakeJoin(join).generation, 2);
}

/// A client that leaves and then deletes its group finds it empty.
TEST(GroupLeave, OfTheLastIsAnsweredWhenTheGroupIsEmpty) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  node.hold_writes = true;
  const RequestId leave = node.Leave({{ids[0], std::nullopt}});
  EXPECT_FALSE(node.Answered(leave));
  node.FinishWrite();
  EXPECT_EQ(node.Take<LeaveAnswer>(leave).members, std::vector{ErrorCode::kNone});
  EXPECT_EQ(node.StateOf(), "Empty");
}

/// Consumers do not wait for the answer when they close.
TEST(GroupLeave, OfTheLastLeavesAGroupThatCanBeDeletedAtOnce) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  node.hold_writes = true;
  const RequestId leave = node.Leave({{ids[0], std::nullopt}});
  EXPECT_EQ(node.StateOf(), "Empty");
  const RequestId deletion = node.DeleteGroups({"g"});
  const RequestId join = node.Join(TestNode::NewClient());
  EXPECT_EQ(node.TakeJoin(join).error, ErrorCode::kCoordinatorNotAvailable) << "it is going";
  node.FinishWrite();
  EXPECT_EQ(node.Take<LeaveAnswer>(leave).members, std::vector{ErrorCode::kNone});
  node.FinishWrite();
  EXPECT_EQ(node.Take<DeleteGroupsAnswer>(deletion).groups[0], ErrorCode::kNone);
  EXPECT_EQ(node.StateOf(), "Dead");
  node.hold_writes = false;
  node.Restart();
  EXPECT_EQ(node.StateOf(), "Dead");
}

TEST(GroupLeave, OfTheLastMayFailToBeStored) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  node.hold_writes = true;
  const RequestId leave = node.Leave({{ids[0], std::nullopt}});
  node.FinishWrite(/*ok=*/false);
  EXPECT_EQ(node.Take<LeaveAnswer>(leave).error, ErrorCode::kCoordinatorNotAvailable);
  node.hold_writes = false;
  node.Pass(absl::Seconds(5));
  EXPECT_EQ(node.StateOf(), "Empty");
}

TEST(GroupLeave, AnswersWhatTheMemberWaitedFor) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  const RequestId join = node.Join(TestNode::NewClient(ids[0]));
  Errors(node, {{ids[0], std::nullopt}});
  EXPECT_EQ(node.TakeJoin(join).error, ErrorCode::kUnknownMemberId);
}

TEST(GroupLeave, AClientThatWasOnlyGivenAnIdMayLeave) {
  TestNode node;
  JoinRequest request = TestNode::NewClient();
  request.require_member_id = true;
  const std::string id = node.TakeJoin(node.Join(request)).member_id;
  EXPECT_EQ(Errors(node, {{id, std::nullopt}}), std::vector{ErrorCode::kNone});
  EXPECT_EQ(node.coordinator->group_count(), 0u);
}

TEST(GroupLeave, StrangersAreTold) {
  TestNode node;
  EXPECT_EQ(Errors(node, {{"a", std::nullopt}}), std::vector{ErrorCode::kUnknownMemberId});
  const auto ids = node.FormGroup(1);
  EXPECT_EQ(Errors(node, {{"a", std::nullopt}, {ids[0], std::nullopt}}),
            (std::vector{ErrorCode::kUnknownMemberId, ErrorCode::kNone}));
  EXPECT_EQ(node.StateOf(), "Empty");
}

TEST(GroupLeave, ByInstance) {
  TestNode node;
  const RequestId join = node.Join(TestNode::NewStatic("i"));
  node.Pass(absl::Seconds(3));
  const std::string id = node.TakeJoin(join).member_id;
  EXPECT_EQ(Errors(node, {{"", "other"}}), std::vector{ErrorCode::kUnknownMemberId});
  EXPECT_EQ(Errors(node, {{"stranger", "i"}}), std::vector{ErrorCode::kFencedInstanceId});
  EXPECT_EQ(Errors(node, {{"", "i"}}), std::vector{ErrorCode::kNone});
  EXPECT_EQ(node.StateOf(), "Empty");
}

TEST(GroupLeave, AnEmptyGroupIdIsInvalid) {
  TestNode node;
  node.coordinator->Leave(77, {"", {{"a", std::nullopt}}}, node.now);
  node.Pump();
  EXPECT_EQ(node.Take<LeaveAnswer>(77).error, ErrorCode::kInvalidGroupId);
}

}  // namespace
}  // namespace selvage::kafka::group
