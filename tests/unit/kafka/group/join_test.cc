#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

TEST(GroupJoin, TheFirstMemberLeads) {
  TestNode node;
  const RequestId join = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  const JoinAnswer answer = node.TakeJoin(join);
  EXPECT_EQ(answer.error, ErrorCode::kNone);
  EXPECT_EQ(answer.generation, 1);
  EXPECT_EQ(answer.protocol_type, "consumer");
  EXPECT_EQ(answer.protocol, "range");
  EXPECT_EQ(answer.leader, answer.member_id);
  EXPECT_TRUE(answer.member_id.starts_with("client-"));
  ASSERT_EQ(answer.members.size(), 1u);
  EXPECT_EQ(answer.members[0].metadata, "topics");
  EXPECT_FALSE(answer.skip_assignment);
}

TEST(GroupJoin, OnlyTheLeaderGetsTheMembers) {
  TestNode node;
  const RequestId first = node.Join(TestNode::NewClient());
  const RequestId second = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  const JoinAnswer leader = node.TakeJoin(first);
  const JoinAnswer follower = node.TakeJoin(second);
  EXPECT_EQ(leader.members.size(), 2u);
  EXPECT_TRUE(follower.members.empty());
  EXPECT_EQ(follower.leader, leader.member_id);
}

TEST(GroupJoin, AnEmptyGroupIdIsInvalid) {
  TestNode node;
  JoinRequest request = TestNode::NewClient();
  request.group.clear();
  EXPECT_EQ(node.TakeJoin(node.Join(request)).error, ErrorCode::kInvalidGroupId);
}

TEST(GroupJoin, SessionTimeoutsHaveLimits) {
  TestNode node;
  for (absl::Duration timeout :
       {absl::Seconds(6) - absl::Milliseconds(1), absl::Minutes(30) + absl::Milliseconds(1)}) {
    JoinRequest request = TestNode::NewClient();
    request.session_timeout = timeout;
    EXPECT_EQ(node.TakeJoin(node.Join(request)).error, ErrorCode::kInvalidSessionTimeout);
  }
  EXPECT_EQ(node.coordinator->group_count(), 0u);
}

TEST(GroupJoin, ADynamicClientMustComeBackWithTheIdItIsGiven) {
  TestNode node;
  JoinRequest request = TestNode::NewClient();
  request.require_member_id = true;
  const JoinAnswer told = node.TakeJoin(node.Join(request));
  EXPECT_EQ(told.error, ErrorCode::kMemberIdRequired);
  EXPECT_TRUE(told.member_id.starts_with("client-"));
  EXPECT_EQ(node.StateOf(), "Empty");

  request.member_id = told.member_id;
  const RequestId join = node.Join(request);
  node.Pass(absl::Seconds(3));
  EXPECT_EQ(node.TakeJoin(join).member_id, told.member_id);
}

TEST(GroupJoin, AnIdThatNobodyCameBackWithExpires) {
  TestNode node;
  JoinRequest request = TestNode::NewClient();
  request.require_member_id = true;
  request.member_id = node.TakeJoin(node.Join(request)).member_id;
  node.Pass(absl::Seconds(10));
  EXPECT_EQ(node.coordinator->group_count(), 0u);
  EXPECT_EQ(node.TakeJoin(node.Join(request)).error, ErrorCode::kUnknownMemberId);
}

TEST(GroupJoin, AnUnknownIdIsRefused) {
  TestNode node;
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewClient("stranger"))).error, ErrorCode::kUnknownMemberId);
  EXPECT_EQ(node.coordinator->group_count(), 0u);
  node.FormGroup(1);
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewClient("stranger"))).error, ErrorCode::kUnknownMemberId);
}

TEST(GroupJoin, ProtocolsMustBeInCommon) {
  TestNode node;
  JoinRequest none = TestNode::NewClient();
  none.protocols.clear();
  EXPECT_EQ(node.TakeJoin(node.Join(none)).error, ErrorCode::kInconsistentGroupProtocol);
  node.FormGroup(1);
  JoinRequest other_type = TestNode::NewClient();
  other_type.protocol_type = "connect";
  EXPECT_EQ(node.TakeJoin(node.Join(other_type)).error, ErrorCode::kInconsistentGroupProtocol);
  JoinRequest other_protocol = TestNode::NewClient();
  other_protocol.protocols = {{"sticky", ""}};
  EXPECT_EQ(node.TakeJoin(node.Join(other_protocol)).error, ErrorCode::kInconsistentGroupProtocol);
  EXPECT_EQ(node.StateOf(), "Stable");
}

TEST(GroupJoin, MembersVoteForAProtocolThatAllHave) {
  TestNode node;
  const auto join = [&node](std::vector<Protocol> protocols) {
    JoinRequest request = TestNode::NewClient();
    request.protocols = std::move(protocols);
    return node.Join(request);
  };
  const RequestId first = join({{"only-here", ""}, {"range", "1"}, {"sticky", "1s"}});
  join({{"sticky", "2s"}, {"range", "2"}});
  join({{"sticky", "3s"}, {"range", "3"}});
  node.Pass(absl::Seconds(3));
  const JoinAnswer leader = node.TakeJoin(first);
  EXPECT_EQ(leader.protocol, "sticky");
  ASSERT_EQ(leader.members.size(), 3u);
  EXPECT_EQ(leader.members[0].metadata, "1s");
  EXPECT_EQ(leader.members[2].metadata, "3s");
}

TEST(GroupJoin, ARepeatedProtocolCountsOnce) {
  TestNode node;
  JoinRequest twice = TestNode::NewClient();
  twice.protocols = {{"sticky", "a"}, {"sticky", "b"}, {"range", "r"}};
  const RequestId first = node.Join(twice);
  const RequestId second = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  EXPECT_EQ(node.TakeJoin(first).protocol, "range");
  EXPECT_EQ(node.TakeJoin(second).protocol, "range");
}

TEST(GroupJoin, AFollowerThatRejoinsUnchangedGetsTheCurrentGeneration) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  const JoinAnswer answer = node.TakeJoin(node.Join(TestNode::NewClient(ids[1])));
  EXPECT_EQ(answer.error, ErrorCode::kNone);
  EXPECT_EQ(answer.generation, 1);
  EXPECT_EQ(answer.leader, ids[0]);
  EXPECT_EQ(node.StateOf(), "Stable");
}

TEST(GroupJoin, AFollowerWithNewMetadataRebalances) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  JoinRequest changed = TestNode::NewClient(ids[1]);
  changed.protocols = {{"range", "more topics"}};
  const RequestId join = node.Join(changed);
  EXPECT_FALSE(node.Answered(join));
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
  const RequestId leader = node.Join(TestNode::NewClient(ids[0]));
  EXPECT_EQ(node.FinishRebalance({leader, join}), 2);
}

TEST(GroupJoin, TheLeaderThatRejoinsRebalancesAndKeepsItsRole) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  const RequestId leader = node.Join(TestNode::NewClient(ids[0]));
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
  const RequestId follower = node.Join(TestNode::NewClient(ids[1]));
  EXPECT_EQ(node.TakeJoin(follower).leader, ids[0]);
  EXPECT_EQ(node.TakeJoin(leader).generation, 2);
}

TEST(GroupJoin, WhileTheLeaderAssignsAnUnchangedRejoinRepeatsTheAnswer) {
  TestNode node;
  const RequestId first = node.Join(TestNode::NewClient());
  const RequestId second = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  const JoinAnswer leader = node.TakeJoin(first);
  const JoinAnswer follower = node.TakeJoin(second);

  const JoinAnswer leader_again = node.TakeJoin(node.Join(TestNode::NewClient(leader.member_id)));
  EXPECT_EQ(leader_again.generation, 1);
  EXPECT_EQ(leader_again.members.size(), 2u);
  const JoinAnswer follower_again = node.TakeJoin(node.Join(TestNode::NewClient(follower.member_id)));
  EXPECT_EQ(follower_again.generation, 1);
  EXPECT_TRUE(follower_again.members.empty());
  EXPECT_EQ(node.StateOf(), "CompletingRebalance");

  JoinRequest changed = TestNode::NewClient(follower.member_id);
  changed.protocols = {{"range", "more topics"}};
  node.Join(changed);
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
}

TEST(GroupJoin, ASecondJoinOfAMemberEndsTheFirst) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  const RequestId stale = node.Join(TestNode::NewClient(ids[0]));
  const RequestId fresh = node.Join(TestNode::NewClient(ids[0]));
  EXPECT_EQ(node.TakeJoin(stale).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_FALSE(node.Answered(fresh));
  const RequestId other = node.Join(TestNode::NewClient(ids[1]));
  EXPECT_EQ(node.FinishRebalance({fresh, other}), 2);
}

}  // namespace
}  // namespace selvage::kafka::group
