#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

TEST(GroupRestart, AStableGroupGoesOn) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  node.Commit({"g", ids[0], std::nullopt, 1, {{{"t", 0}, 5, 2, "note"}}});
  node.Pass(absl::Seconds(9));
  node.Restart();
  EXPECT_EQ(node.StateOf(), "Stable");
  const auto fetched = node.coordinator->Fetch("g", {{"t", 0}});
  EXPECT_EQ(fetched[0].offset, 5);
  EXPECT_EQ(fetched[0].leader_epoch, 2);
  EXPECT_EQ(fetched[0].metadata, "note");
  node.Pass(absl::Seconds(9));  // a whole session timeout from the restart on
  for (const std::string& id : ids) EXPECT_EQ(node.Heartbeat(id, 1), ErrorCode::kNone);
  EXPECT_EQ(node.TakeSync(node.Sync(ids[1], 1)).assignment, "for " + ids[1]);
}

TEST(GroupRestart, MembersThatDoNotComeBackExpire) {
  TestNode node;
  const auto ids = node.FormGroup(2);
  node.Restart();
  node.PassWithHeartbeats(absl::Seconds(10), {ids[0]}, 1);
  EXPECT_EQ(node.Heartbeat(ids[0], 1), ErrorCode::kRebalanceInProgress);
  const RequestId join = node.Join(TestNode::NewClient(ids[0]));
  EXPECT_EQ(node.FinishRebalance({join}), 2);
}

TEST(GroupRestart, NobodyHearsOfAGenerationThatIsNotDurable) {
  TestNode node;
  node.hold_writes = true;
  const RequestId join = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  EXPECT_FALSE(node.Answered(join));
  EXPECT_EQ(node.GenerationOf(), 0);
  node.FinishWrite();
  EXPECT_EQ(node.TakeJoin(join).generation, 1);
}

TEST(GroupRestart, BetweenJoinAndSyncMembersNeedNotRejoin) {
  TestNode node;
  const RequestId first = node.Join(TestNode::NewClient());
  const RequestId second = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  const std::string leader = node.TakeJoin(first).member_id;
  const std::string follower = node.TakeJoin(second).member_id;
  node.Restart();
  EXPECT_EQ(node.StateOf(), "CompletingRebalance");
  const RequestId parked = node.Sync(follower, 1);
  node.Sync(leader, 1, {{follower, "one"}});
  EXPECT_EQ(node.TakeSync(parked).assignment, "one");
}

TEST(GroupRestart, GenerationsGoOnFromWhereTheyWere) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  node.CommitSimple(1);
  node.Leave({{ids[0], std::nullopt}});
  node.Restart();
  EXPECT_EQ(node.StateOf(), "Empty");
  const RequestId join = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  EXPECT_EQ(node.TakeJoin(join).generation, 3);
}

TEST(GroupRestart, AnAssignmentIsNotHandedOutBeforeItIsDurable) {
  TestNode node;
  const RequestId join = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  const std::string id = node.TakeJoin(join).member_id;
  node.hold_writes = true;
  const RequestId sync = node.Sync(id, 1, {{id, "all"}});
  EXPECT_FALSE(node.Answered(sync));
  EXPECT_EQ(node.StateOf(), "CompletingRebalance");
  EXPECT_EQ(node.Heartbeat(id, 1), ErrorCode::kNone);
  node.FinishWrite();
  EXPECT_EQ(node.TakeSync(sync).assignment, "all");
}

TEST(GroupRestart, AnAssignmentThatCannotBeWrittenEndsInARebalance) {
  TestNode node;
  const RequestId first = node.Join(TestNode::NewClient());
  const RequestId second = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  const std::string leader = node.TakeJoin(first).member_id;
  const std::string follower = node.TakeJoin(second).member_id;
  const RequestId parked = node.Sync(follower, 1);
  node.disk_works = false;
  EXPECT_EQ(node.TakeSync(node.Sync(leader, 1)).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.TakeSync(parked).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.GenerationOf(), 1) << "it is not stored";
  node.disk_works = true;
  const RequestId leader_again = node.Join(TestNode::NewClient(leader));
  const RequestId follower_again = node.Join(TestNode::NewClient(follower));
  EXPECT_EQ(node.FinishRebalance({leader_again, follower_again}), 2);
}

TEST(GroupRestart, AGenerationThatCannotBeWrittenIsTriedAgainWithThoseWhoRejoin) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  node.disk_works = false;
  EXPECT_EQ(node.TakeJoin(node.Join(TestNode::NewClient(ids[0]))).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.GenerationOf(), 1);
  const RequestId again = node.Join(TestNode::NewClient(ids[0]));
  EXPECT_FALSE(node.Answered(again));
  node.disk_works = true;
  node.Pass(absl::Seconds(1));
  EXPECT_EQ(node.TakeJoin(again).generation, 2);
}

TEST(GroupRestart, AClientThatNeverHeardOfItsIdIsForgottenWhenItsGenerationIsNotWritten) {
  TestNode node;
  node.disk_works = false;
  const RequestId join = node.Join(TestNode::NewClient());
  node.Pass(absl::Seconds(3));
  EXPECT_EQ(node.TakeJoin(join).error, ErrorCode::kCoordinatorNotAvailable);
  EXPECT_TRUE(node.coordinator->Describe("g").members.empty());
}

TEST(GroupRestart, AnEmptyGenerationIsWrittenWhenTheDiskWorksAgain) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  node.disk_works = false;
  node.Leave({{ids[0], std::nullopt}});
  node.Pass(absl::Seconds(10));
  EXPECT_EQ(node.GenerationOf(), 1) << "it is not stored";
  node.disk_works = true;
  node.Pass(absl::Seconds(1));
  EXPECT_EQ(node.StateOf(), "Empty");
  node.Restart();
  EXPECT_EQ(node.StateOf(), "Empty");
  EXPECT_EQ(node.GenerationOf(), 2);
}

TEST(GroupRestart, ADamagedDocumentIsRefusedAndLeavesNothing) {
  TestNode node;
  EXPECT_EQ(node.coordinator->Restore("x", "", node.now).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(node.coordinator->Restore(GroupKey("g"), "\xff", node.now).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(node.coordinator->Restore(OffsetKey("g", {"t", 0}), "\xff", node.now).code(),
            absl::StatusCode::kDataLoss);
  v1::StoredGroup document;
  document.set_generation(3);
  document.set_leader("nobody");
  document.add_members()->set_member_id("a");
  EXPECT_EQ(node.coordinator->Restore(GroupKey("g"), document.SerializeAsString(), node.now).code(),
            absl::StatusCode::kDataLoss);
  document.mutable_members(0)->set_session_timeout_ms(1000);
  document.mutable_members(0)->set_rebalance_timeout_ms(1000);
  EXPECT_EQ(node.coordinator->Restore(GroupKey("g"), document.SerializeAsString(), node.now).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(node.coordinator->group_count(), 0u);
}

}  // namespace
}  // namespace selvage::kafka::group
