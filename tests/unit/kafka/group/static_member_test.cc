#include "fabric/base/endian.h"
#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

/// Two static members "a" and "b" of a stable generation 1; "a" leads and is assigned "for a".
struct StaticPair {
  explicit StaticPair(TestNode& node, std::vector<Protocol> protocols = {{"range", "topics"}}) {
    JoinRequest join_a = TestNode::NewStatic("a");
    JoinRequest join_b = TestNode::NewStatic("b");
    join_a.protocols = join_b.protocols = std::move(protocols);
    const RequestId first = node.Join(join_a);
    const RequestId second = node.Join(join_b);
    node.Pass(absl::Seconds(3));
    a = node.TakeJoin(first).member_id;
    b = node.TakeJoin(second).member_id;
    node.Sync(a, 1, {{a, "for a"}, {b, "for b"}});
    node.Sync(b, 1);
    EXPECT_EQ(node.StateOf(), "Stable");
  }
  std::string a;
  std::string b;
};

std::string Subscription(const std::string& topic) {
  std::string bytes;
  AppendBig<int16_t>(bytes, 1);
  AppendBig<int32_t>(bytes, 1);
  AppendBig<int16_t>(bytes, static_cast<int16_t>(topic.size()));
  return bytes + topic;
}

TEST(StaticMember, JoinsWithoutBeingSentBackForItsId) {
  TestNode node;
  JoinRequest request = TestNode::NewStatic("a");
  request.require_member_id = true;
  const RequestId join = node.Join(request);
  node.Pass(absl::Seconds(3));
  const JoinAnswer answer = node.TakeJoin(join);
  EXPECT_TRUE(answer.member_id.starts_with("a-"));
  EXPECT_EQ(answer.members[0].instance_id, "a");
}

TEST(StaticMember, AFollowerThatRestartsCausesNoRebalance) {
  TestNode node;
  const StaticPair pair(node);
  const JoinAnswer answer = node.TakeJoin(node.Join(TestNode::NewStatic("b")));
  EXPECT_EQ(answer.error, ErrorCode::kNone);
  EXPECT_EQ(answer.generation, 1);
  EXPECT_NE(answer.member_id, pair.b);
  EXPECT_EQ(answer.leader, pair.a);
  EXPECT_EQ(node.StateOf(), "Stable");
  EXPECT_EQ(node.TakeSync(node.Sync(answer.member_id, 1)).assignment, "for b");
}

TEST(StaticMember, TheOldMemberIdIsFencedOff) {
  TestNode node;
  const StaticPair pair(node);
  node.Join(TestNode::NewStatic("b"));
  EXPECT_EQ(node.Heartbeat(pair.b, 1, "b"), ErrorCode::kFencedInstanceId);
  EXPECT_EQ(node.Heartbeat(pair.b, 1), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewStatic("b", pair.b))).error, ErrorCode::kFencedInstanceId);
  SyncRequest sync{"g", pair.b, "b", 1, {}, {}, {}};
  EXPECT_EQ(node.TakeSync(node.Sync(sync)).error, ErrorCode::kFencedInstanceId);
  CommitRequest commit{"g", pair.b, "b", 1, {{{"t", 0}, 5, -1, ""}}};
  EXPECT_EQ(node.Take<CommitAnswer>(node.Commit(commit)).partitions[0], ErrorCode::kFencedInstanceId);
}

TEST(StaticMember, ALeaderThatRestartsSkipsTheAssignmentFromVersionNineOn) {
  TestNode node;
  const StaticPair pair(node);
  JoinRequest request = TestNode::NewStatic("a");
  request.supports_skip_assignment = true;
  const JoinAnswer answer = node.TakeJoin(node.Join(request));
  EXPECT_EQ(answer.leader, answer.member_id);
  EXPECT_TRUE(answer.skip_assignment);
  EXPECT_EQ(answer.members.size(), 2u);
  EXPECT_EQ(answer.generation, 1);
  EXPECT_EQ(node.TakeSync(node.Sync(answer.member_id, 1)).assignment, "for a");
}

TEST(StaticMember, ALeaderThatRestartsBelowVersionNineActsAsAFollower) {
  TestNode node;
  const StaticPair pair(node);
  const JoinAnswer answer = node.TakeJoin(node.Join(TestNode::NewStatic("a")));
  EXPECT_EQ(answer.leader, pair.a);
  EXPECT_NE(answer.member_id, pair.a);
  EXPECT_FALSE(answer.skip_assignment);
  EXPECT_TRUE(answer.members.empty());
  EXPECT_EQ(node.TakeSync(node.Sync(answer.member_id, 1)).assignment, "for a");
  // It leads all the same: joining once more begins a rebalance.
  node.Join(TestNode::NewStatic("a", answer.member_id));
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
}

TEST(StaticMember, OtherProtocolsThatChangeTheChoiceRebalance) {
  TestNode node;
  const StaticPair pair(node, {{"range", "r"}, {"sticky", "s"}});
  JoinRequest request = TestNode::NewStatic("b");
  request.protocols = {{"sticky", "s"}};
  node.Join(request);
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
}

TEST(StaticMember, OtherTopicsRebalance) {
  TestNode node;
  const StaticPair pair(node, {{"range", Subscription("t")}});
  JoinRequest request = TestNode::NewStatic("b");
  request.protocols = {{"range", Subscription("t") + "owned partitions that are gone"}};
  EXPECT_EQ(node.TakeJoin(node.Join(request)).error, ErrorCode::kNone);
  EXPECT_EQ(node.StateOf(), "Stable");
  request.protocols = {{"range", Subscription("u")}};
  node.Join(request);
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
}

TEST(StaticMember, ARestartWhileTheLeaderAssignsRebalances) {
  TestNode node;
  const RequestId first = node.Join(TestNode::NewStatic("a"));
  const RequestId second = node.Join(TestNode::NewStatic("b"));
  node.Pass(absl::Seconds(3));
  const std::string b = node.TakeJoin(second).member_id;
  const RequestId parked = node.Sync(b, 1);
  const RequestId rejoined = node.Join(TestNode::NewStatic("b"));
  EXPECT_EQ(node.TakeSync(parked).error, ErrorCode::kFencedInstanceId);
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
  const RequestId leader = node.Join(TestNode::NewStatic("a", node.TakeJoin(first).member_id));
  EXPECT_EQ(node.FinishRebalance({leader, rejoined}), 2);
}

TEST(StaticMember, ARestartDuringARebalanceTakesThePlaceOfTheParkedJoin) {
  TestNode node;
  const StaticPair pair(node);
  const RequestId leader = node.Join(TestNode::NewStatic("a", pair.a));
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
  const RequestId replaced = node.Join(TestNode::NewStatic("a"));
  EXPECT_EQ(node.TakeJoin(leader).error, ErrorCode::kFencedInstanceId);
  const RequestId follower = node.Join(TestNode::NewStatic("b", pair.b));
  const JoinAnswer answer = node.TakeJoin(replaced);
  EXPECT_EQ(answer.leader, answer.member_id);
  EXPECT_EQ(answer.generation, 2);
  EXPECT_EQ(node.TakeJoin(follower).generation, 2);
}

TEST(StaticMember, StaysThroughARebalanceThatItMissesUntilItsSessionEnds) {
  TestNode node;
  JoinRequest away = TestNode::NewStatic("b");
  away.session_timeout = absl::Minutes(10);
  const RequestId first = node.Join(TestNode::NewStatic("a"));
  const RequestId second = node.Join(away);
  node.Pass(absl::Seconds(3));
  const std::string a = node.TakeJoin(first).member_id;
  const std::string b = node.TakeJoin(second).member_id;
  node.Sync(a, 1, {{a, "for a"}, {b, "for b"}});
  node.Sync(b, 1);

  const RequestId rejoin = node.Join(TestNode::NewStatic("a", a));
  node.Pass(absl::Seconds(60));
  const JoinAnswer answer = node.TakeJoin(rejoin);
  EXPECT_EQ(answer.generation, 2);
  EXPECT_EQ(answer.members.size(), 2u);
}

TEST(StaticMember, ThatOnlyStaticMembersAreAwayEndsWithTheirSessions) {
  TestNode node;
  const StaticPair pair(node);
  node.Take<LeaveAnswer>(node.Leave({{pair.a, "a"}}));
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
  node.Pass(absl::Seconds(10));
  EXPECT_EQ(node.StateOf(), "Empty");
}

TEST(StaticMember, AReplacementThatCannotBeWrittenLeavesTheOldMember) {
  TestNode node;
  const StaticPair pair(node);
  node.disk_works = false;
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewStatic("b"))).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.Heartbeat(pair.b, 1, "b"), ErrorCode::kNone);
  node.disk_works = true;
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewStatic("b"))).generation, 1);
}

TEST(StaticMember, TheOldIdIsFencedOffAfterARestartOfTheNodeToo) {
  TestNode node;
  const StaticPair pair(node);
  const std::string fresh = node.TakeJoin(node.Join(TestNode::NewStatic("b"))).member_id;
  node.Restart();
  EXPECT_EQ(node.Heartbeat(pair.b, 1, "b"), ErrorCode::kFencedInstanceId);
  EXPECT_EQ(node.Heartbeat(fresh, 1, "b"), ErrorCode::kNone);
}

}  // namespace
}  // namespace selvage::kafka::group
