#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

TEST(GroupAdmin, DescribesMembersOfAStableGroup) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  const GroupDescription group = node.coordinator->Describe("g");
  EXPECT_EQ(group.state, "Stable");
  EXPECT_EQ(group.protocol_type, "consumer");
  EXPECT_EQ(group.protocol, "range");
  ASSERT_EQ(group.members.size(), 2u);
  EXPECT_EQ(group.members[1].member_id, ids[1]);
  EXPECT_EQ(group.members[1].client_id, "client");
  EXPECT_EQ(group.members[1].client_host, "/127.0.0.1");
  EXPECT_EQ(group.members[1].metadata, "topics");
  EXPECT_EQ(group.members[1].assignment, "for " + ids[1]);
}

TEST(GroupAdmin, ShowsNoAssignmentsWhileAGroupRebalances) {
  TestNode node;
  node.FormGroup(1);
  node.Join(TestNode::NewClient());
  const GroupDescription group = node.coordinator->Describe("g");
  EXPECT_EQ(group.state, "PreparingRebalance");
  EXPECT_EQ(group.protocol, "");
  EXPECT_EQ(group.members[0].assignment, "");
}

TEST(GroupAdmin, AnUnknownGroupIsDead) {
  TestNode node;
  EXPECT_EQ(node.coordinator->Describe("g").state, "Dead");
  EXPECT_EQ(node.coordinator->group_count(), 0u);
}

TEST(GroupAdmin, ListsByStateAndType) {
  TestNode node;
  node.FormGroup(1);
  node.CommitSimple(1, "simple");
  const auto names = [&node](std::vector<std::string> states, std::vector<std::string> types) {
    std::vector<std::string> listed;
    for (const GroupListing& group : node.coordinator->List(states, types)) listed.push_back(group.group);
    return listed;
  };
  EXPECT_EQ(names({}, {}), (std::vector<std::string>{"g", "simple"}));
  EXPECT_EQ(names({"stable"}, {}), std::vector<std::string>{"g"});
  EXPECT_EQ(names({"Empty", "Dead"}, {}), std::vector<std::string>{"simple"});
  EXPECT_EQ(names({}, {"Classic"}).size(), 2u);
  EXPECT_TRUE(names({}, {"consumer"}).empty());
  EXPECT_EQ(node.coordinator->List({}, {})[0].type, "classic");
}

TEST(GroupAdmin, DeletesEmptyGroupsWithTheirOffsets) {
  TestNode node;
  node.FormGroup(1);
  node.CommitSimple(1, "simple");
  node.CommitSimple(1, "simple-too");
  const auto answer = node.Take<DeleteGroupsAnswer>(node.DeleteGroups({"g", "simple", "nobody"}));
  EXPECT_EQ(answer.groups,
            (std::vector{ErrorCode::kNonEmptyGroup, ErrorCode::kNone, ErrorCode::kGroupIdNotFound}));
  EXPECT_EQ(node.StateOf("simple"), "Dead");
  EXPECT_EQ(node.Committed("t", 0, "simple"), -1);
  node.Restart();
  EXPECT_EQ(node.StateOf("simple"), "Dead");
  EXPECT_EQ(node.Committed("t", 0, "simple-too"), 1);
  EXPECT_EQ(node.StateOf(), "Stable");
}

TEST(GroupAdmin, ADeletionUnderWayLetsNothingIn) {
  TestNode node;
  node.CommitSimple(1);
  node.hold_writes = true;
  const RequestId deletion = node.DeleteGroups({"g"});
  EXPECT_FALSE(node.Answered(deletion));
  EXPECT_EQ(node.Committed(), 1);
  EXPECT_EQ(node.Take<CommitAnswer>(node.CommitSimple(2)).partitions[0], ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewClient())).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.Take<DeleteGroupsAnswer>(node.DeleteGroups({"g"})).groups[0],
            ErrorCode::kCoordinatorNotAvailable);
  node.FinishWrite();
  EXPECT_EQ(node.Take<DeleteGroupsAnswer>(deletion).groups[0], ErrorCode::kNone);
  EXPECT_EQ(node.coordinator->group_count(), 0u);
}

TEST(GroupAdmin, ADeletionThatCannotBeWrittenIsNotDone) {
  TestNode node;
  node.CommitSimple(1);
  node.disk_works = false;
  EXPECT_EQ(node.Take<DeleteGroupsAnswer>(node.DeleteGroups({"g"})).groups[0],
            ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.Committed(), 1);
  node.disk_works = true;
  EXPECT_EQ(node.Take<CommitAnswer>(node.CommitSimple(2)).partitions[0], ErrorCode::kNone);
}

TEST(GroupAdmin, ADeletionBehindACommitTakesItToo) {
  TestNode node;
  node.CommitSimple(1);
  node.hold_writes = true;
  const RequestId commit = node.CommitSimple(2);
  const RequestId deletion = node.DeleteGroups({"g"});
  while (!node.held.empty()) node.FinishWrite();
  EXPECT_EQ(node.Take<CommitAnswer>(commit).partitions[0], ErrorCode::kNone);
  EXPECT_EQ(node.Take<DeleteGroupsAnswer>(deletion).groups[0], ErrorCode::kNone);
  EXPECT_TRUE(node.disk.empty());
}

}  // namespace
}  // namespace selvage::kafka::group
