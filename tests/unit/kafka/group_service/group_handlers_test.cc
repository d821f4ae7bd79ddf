#include "fabric/kafka/protocol/delete_groups.h"
#include "fabric/kafka/protocol/describe_groups.h"
#include "fabric/kafka/protocol/find_coordinator.h"
#include "fabric/kafka/protocol/heartbeat.h"
#include "fabric/kafka/protocol/leave_group.h"
#include "fabric/kafka/protocol/list_groups.h"
#include "tests/unit/kafka/group_service/group_node.h"

namespace selvage::kafka::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

HeartbeatRequest Beat(const std::string& member, int32_t generation) {
  return {"g", generation, member, std::nullopt};
}

TEST(FindCoordinator, IsThisNodeInEveryVersion) {
  GroupNode node;
  for (int16_t version = 0; version <= 3; ++version) {
    const auto found = node.Ask<FindCoordinatorResponse>(FindCoordinatorRequest{"g", 0, {}}, version);
    EXPECT_EQ(found.error_code, ErrorCode::kNone);
    EXPECT_EQ(found.node_id, kNodeId);
    EXPECT_EQ(found.host, "127.0.0.1");
    EXPECT_EQ(found.port, 9092);
  }
  for (int16_t version = 4; version <= 5; ++version) {
    const auto found = node.Ask<FindCoordinatorResponse>(FindCoordinatorRequest{"", 0, {"g", "h"}}, version);
    ASSERT_THAT(found.coordinators, SizeIs(2));
    EXPECT_EQ(found.coordinators[1].key, "h");
    EXPECT_EQ(found.coordinators[1].port, 9092);
  }
}

TEST(FindCoordinator, TransactionsAreRefusedForGood) {
  GroupNode node;
  EXPECT_EQ(node.Ask<FindCoordinatorResponse>(FindCoordinatorRequest{"x", 1, {}}, 2).error_code,
            ErrorCode::kTransactionalIdAuthorizationFailed);
  const auto found = node.Ask<FindCoordinatorResponse>(FindCoordinatorRequest{"", 1, {"x"}}, 4);
  EXPECT_EQ(found.coordinators[0].error_code, ErrorCode::kTransactionalIdAuthorizationFailed);
}

TEST(JoinGroup, EveryVersionOfItFormsAGroup) {
  for (int16_t version = 0; version <= 9; ++version) {
    GroupNode node;
    std::string id;
    if (version >= 4) {
      const auto first = node.Ask<JoinGroupResponse>(GroupNode::Joining(), version);
      EXPECT_EQ(first.error_code, ErrorCode::kMemberIdRequired);
      id = first.member_id;
      EXPECT_NE(id, "");
    }
    auto join = node.Send<JoinGroupResponse>(GroupNode::Joining(id), version);
    EXPECT_FALSE(join->ended) << "it waits for others";
    node.Pass(absl::Seconds(4));
    ASSERT_TRUE(join->response) << version;
    EXPECT_EQ(join->response->error_code, ErrorCode::kNone);
    EXPECT_EQ(join->response->generation_id, 1);
    EXPECT_EQ(join->response->protocol_name, "range");
    if (version >= 7) {
      EXPECT_EQ(join->response->protocol_type, "consumer");
    }
    EXPECT_EQ(join->response->leader, join->response->member_id);
    ASSERT_THAT(join->response->members, SizeIs(1));
    EXPECT_EQ(join->response->members[0].metadata, "topics");
  }
}

TEST(SyncGroup, EveryVersionOfItTellsTheAssignment) {
  for (int16_t version = 0; version <= 5; ++version) {
    GroupNode node;
    auto join = node.Send<JoinGroupResponse>(GroupNode::Joining(), 3);
    node.Pass(absl::Seconds(4));
    ASSERT_TRUE(join->response);
    SyncGroupRequest sync;
    sync.group_id = "g";
    sync.generation_id = 1;
    sync.member_id = join->response->member_id;
    sync.protocol_type = "consumer";
    sync.protocol_name = "range";
    sync.assignments = {{sync.member_id, "all of it"}};
    const auto synced = node.Ask<SyncGroupResponse>(sync, version);
    EXPECT_EQ(synced.error_code, ErrorCode::kNone);
    EXPECT_EQ(synced.assignment, "all of it");
    if (version >= 5) {
      EXPECT_EQ(synced.protocol_name, "range");
    }
  }
}

TEST(GroupOfThree, AMemberThatDiesIsReplacedByTheOthers) {
  GroupNode node;
  const std::vector<std::string> ids = node.FormGroup(3);
  ASSERT_THAT(ids, SizeIs(3));
  // The third says nothing any more.
  ErrorCode seen = ErrorCode::kNone;
  for (int i = 0; i < 10 && seen == ErrorCode::kNone; ++i) {
    node.Pass(absl::Seconds(2));
    seen = node.Ask<HeartbeatResponse>(Beat(ids[0], 1), 3).error_code;
    (void)node.Ask<HeartbeatResponse>(Beat(ids[1], 1), 3);
  }
  EXPECT_EQ(seen, ErrorCode::kRebalanceInProgress);
  auto leader = node.Send<JoinGroupResponse>(GroupNode::Joining(ids[0]), 3);
  auto other = node.Send<JoinGroupResponse>(GroupNode::Joining(ids[1]), 3);
  node.Pass(absl::Seconds(1));
  ASSERT_TRUE(leader->response && other->response);
  EXPECT_EQ(leader->response->generation_id, 2);
  EXPECT_EQ(leader->response->leader, ids[0]) << "who leads goes on leading";
  EXPECT_THAT(leader->response->members, SizeIs(2));
  EXPECT_THAT(other->response->members, IsEmpty());
}

TEST(Heartbeat, UnknownMembersAndOldGenerationsAreTold) {
  GroupNode node;
  const auto ids = node.FormGroup(1);
  for (int16_t version = 0; version <= 4; ++version) {
    EXPECT_EQ(node.Ask<HeartbeatResponse>(Beat(ids[0], 1), version).error_code, ErrorCode::kNone);
    EXPECT_EQ(node.Ask<HeartbeatResponse>(Beat(ids[0], 0), version).error_code,
              ErrorCode::kIllegalGeneration);
    EXPECT_EQ(node.Ask<HeartbeatResponse>(Beat("who", 1), version).error_code, ErrorCode::kUnknownMemberId);
  }
}

TEST(LeaveGroup, OneByItsIdOrSeveral) {
  for (int16_t version = 0; version <= 5; ++version) {
    GroupNode node;
    const auto ids = node.FormGroup(2);
    LeaveGroupRequest leave{"g", ids[1], {}};
    if (version >= 3) leave.members = {{ids[1], std::nullopt, "tired"}, {"who", std::nullopt, std::nullopt}};
    const auto left = node.Ask<LeaveGroupResponse>(leave, version);
    EXPECT_EQ(left.error_code, ErrorCode::kNone);
    if (version >= 3) {
      ASSERT_THAT(left.members, SizeIs(2));
      EXPECT_EQ(left.members[0].error_code, ErrorCode::kNone);
      EXPECT_EQ(left.members[1].error_code, ErrorCode::kUnknownMemberId);
      EXPECT_EQ(left.members[1].member_id, "who");
    }
    EXPECT_THAT(node.Describe().members, SizeIs(1));
  }
}

TEST(LeaveGroup, AnUnknownMemberOfAnOldVersionIsToldAtTheTop) {
  GroupNode node;
  EXPECT_EQ(node.Ask<LeaveGroupResponse>(LeaveGroupRequest{"g", "who", {}}, 1).error_code,
            ErrorCode::kUnknownMemberId);
}

TEST(DescribeGroups, MembersWithTheirAssignments) {
  GroupNode node;
  const auto ids = node.FormGroup(2);
  for (int16_t version = 0; version <= 5; ++version) {
    const auto described =
        node.Ask<DescribeGroupsResponse>(DescribeGroupsRequest{{"g", "nobody", ""}, true}, version);
    ASSERT_THAT(described.groups, SizeIs(3));
    const auto& group = described.groups[0];
    EXPECT_EQ(group.group_state, "Stable");
    EXPECT_EQ(group.protocol_data, "range");
    ASSERT_THAT(group.members, SizeIs(2));
    EXPECT_EQ(group.members[0].member_assignment, "for " + group.members[0].member_id);
    EXPECT_EQ(group.members[0].client_id, "client");
    EXPECT_EQ(group.members[0].client_host, "/127.0.0.1");
    EXPECT_EQ(described.groups[1].group_state, "Dead");
    EXPECT_EQ(described.groups[1].error_code, ErrorCode::kNone);
    EXPECT_EQ(described.groups[2].error_code, ErrorCode::kInvalidGroupId);
    // Read, delete and describe, of those who ask.
    EXPECT_EQ(group.authorized_operations, version < 3 ? INT32_MIN : 0b1'0100'1000);
  }
}

TEST(ListGroups, ByStateAndType) {
  GroupNode node;
  (void)node.FormGroup(1);
  for (int16_t version = 0; version <= 5; ++version) {
    const auto listed = node.Ask<ListGroupsResponse>(ListGroupsRequest{}, version);
    ASSERT_THAT(listed.groups, SizeIs(1));
    EXPECT_EQ(listed.groups[0].group_id, "g");
    EXPECT_EQ(listed.groups[0].protocol_type, "consumer");
  }
  EXPECT_THAT(node.Ask<ListGroupsResponse>(ListGroupsRequest{{"empty"}, {}}, 5).groups, IsEmpty());
  EXPECT_THAT(node.Ask<ListGroupsResponse>(ListGroupsRequest{{}, {"classic"}}, 5).groups, SizeIs(1));
}

TEST(DeleteGroups, OnlyEmptyOnes) {
  for (int16_t version = 0; version <= 2; ++version) {
    GroupNode node;
    const auto ids = node.FormGroup(1);
    auto deleted = node.Ask<DeleteGroupsResponse>(DeleteGroupsRequest{{"g", "nobody"}}, version);
    ASSERT_THAT(deleted.results, SizeIs(2));
    EXPECT_EQ(deleted.results[0].error_code, ErrorCode::kNonEmptyGroup);
    EXPECT_EQ(deleted.results[1].error_code, ErrorCode::kGroupIdNotFound);
    (void)node.Ask<LeaveGroupResponse>(LeaveGroupRequest{"g", ids[0], {}}, 1);
    deleted = node.Ask<DeleteGroupsResponse>(DeleteGroupsRequest{{"g"}}, version);
    EXPECT_EQ(deleted.results[0].error_code, ErrorCode::kNone);
    node.Restart();
    EXPECT_EQ(node.Describe().state, "Dead");
  }
}

}  // namespace
}  // namespace selvage::kafka::test
