#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

TEST(GroupLimits, MembersOfAGroup) {
  Settings settings;
  settings.limits.members_per_group = 2;
  TestNode node(settings);
  const auto ids = node.FormGroup(2);
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewClient())).error, ErrorCode::kGroupMaxSizeReached);
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewStatic("i"))).error, ErrorCode::kGroupMaxSizeReached);
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewClient(ids[1]))).error, ErrorCode::kNone);
}

TEST(GroupLimits, ClientsThatWereOnlyGivenAnIdCount) {
  Settings settings;
  settings.limits.members_per_group = 2;
  TestNode node(settings);
  JoinRequest request = TestNode::NewClient();
  request.require_member_id = true;
  request.member_id = node.TakeJoin(node.Join(request)).member_id;
  JoinRequest other = request;
  other.member_id.clear();
  EXPECT_EQ(node.TakeJoin(node.Join(other)).error, ErrorCode::kMemberIdRequired);
  EXPECT_EQ(node.TakeJoin(node.Join(other)).error, ErrorCode::kGroupMaxSizeReached);
  const RequestId join = node.Join(request);
  node.Pass(absl::Seconds(3));
  EXPECT_EQ(node.TakeJoin(join).error, ErrorCode::kNone);
}

TEST(GroupLimits, Groups) {
  Settings settings;
  settings.limits.groups = 1;
  TestNode node(settings);
  node.FormGroup(1);
  JoinRequest other = TestNode::NewClient();
  other.group = "other";
  EXPECT_EQ(node.TakeJoin(node.Join(other)).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.Take<CommitAnswer>(node.CommitSimple(1, "other")).partitions[0],
            ErrorCode::kCoordinatorNotAvailable);
}

TEST(GroupLimits, BytesOfAGroup) {
  Settings settings;
  settings.limits.group_bytes = 10'000;
  TestNode node(settings);
  JoinRequest large = TestNode::NewClient();
  large.protocols = {{"range", std::string(10'000, 'm')}};
  EXPECT_EQ(node.TakeJoin(node.Join(large)).error, ErrorCode::kGroupMaxSizeReached);
  EXPECT_EQ(node.coordinator->group_count(), 0u);
}

TEST(GroupLimits, BytesOfAnAssignment) {
  Settings settings;
  settings.limits.group_bytes = 10'000;
  TestNode node(settings);
  const RequestId join = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  const std::string id = node.TakeJoin(join).member_id;
  EXPECT_EQ(node.TakeSync(node.Sync(id, 1, {{id, std::string(10'000, 'a')}})).error,
            ErrorCode::kUnknownServerError);
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
}

TEST(GroupLimits, BytesThatWaitForAWrite) {
  Settings settings;
  settings.limits.group_bytes = 10'000;
  TestNode node(settings);
  node.Join(TestNode::NewClient());
  node.hold_writes = true;
  node.Pass(absl::Seconds(3));
  size_t refused = 0;
  for (int i = 0; i < 100; ++i) {
    const RequestId join = node.Join(TestNode::NewClient());
    if (!node.Answered(join)) continue;
    EXPECT_EQ(node.TakeJoin(join).error, ErrorCode::kCoordinatorNotAvailable);
    ++refused;
  }
  EXPECT_GT(refused, 50u);
  EXPECT_LT(node.coordinator->bytes(), 20'000u);
}

TEST(GroupLimits, OffsetsOfAGroup) {
  Settings settings;
  settings.limits.offsets_per_group = 2;
  TestNode node(settings);
  CommitRequest request;
  request.group = "g";
  for (int32_t partition : {0, 1, 2, 0}) request.partitions.push_back({{"t", partition}, 5, -1, ""});
  EXPECT_EQ(
      node.Take<CommitAnswer>(node.Commit(request)).partitions,
      (std::vector{ErrorCode::kNone, ErrorCode::kNone, ErrorCode::kUnknownServerError, ErrorCode::kNone}));
}

TEST(GroupLimits, BytesOfAllGroups) {
  Settings settings;
  settings.limits.total_bytes = 20'000;
  TestNode node(settings);
  size_t accepted = 0;
  for (int i = 0; i < 100; ++i) {
    const auto errors =
        node.Take<CommitAnswer>(node.CommitSimple(1, "group-" + std::to_string(i))).partitions;
    accepted += errors[0] == ErrorCode::kNone ? 1 : 0;
  }
  EXPECT_GT(accepted, 5u);
  EXPECT_LT(accepted, 30u);
  EXPECT_EQ(node.coordinator->group_count(), accepted);
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewClient())).error, ErrorCode::kCoordinatorNotAvailable);
}

TEST(GroupLimits, WhatIsGivenBackIsNotCountedAnyMore) {
  TestNode node;
  const auto ids = node.FormGroup(3);
  node.CommitSimple(1, "simple");
  for (const std::string& id : ids) node.Leave({{id, std::nullopt}});
  node.DeleteGroups({"g", "simple"});
  EXPECT_EQ(node.coordinator->group_count(), 0u);
  EXPECT_EQ(node.coordinator->bytes(), 0u);
}

}  // namespace
}  // namespace selvage::kafka::group
