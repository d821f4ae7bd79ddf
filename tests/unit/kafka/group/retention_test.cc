#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

constexpr absl::Duration kWeek = absl::Hours(7 * 24);

TEST(GroupRetention, OffsetsGoAWeekAfterTheirGroupBecameEmpty) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  CommitRequest commit{"g", ids[0], std::nullopt, 1, {{{"t", 0}, 5, -1, ""}}};
  node.Commit(commit);
  node.PassWithHeartbeats(absl::Hours(2), ids, 1);
  node.Leave({{ids[0], std::nullopt}});
  node.Pass(kWeek - absl::Minutes(1));
  EXPECT_EQ(node.Committed(), 5);
  node.Pass(absl::Minutes(11));
  EXPECT_EQ(node.Committed(), -1);
}

TEST(GroupRetention, OffsetsOfAGroupWithMembersStay) {
  Settings settings;
  settings.offset_retention = absl::Minutes(30);
  TestNode node(settings);
  const auto ids = node.FormGroup(1);
  node.Commit({"g", ids[0], std::nullopt, 1, {{{"t", 0}, 5, -1, ""}}});
  node.PassWithHeartbeats(absl::Hours(2), ids, 1);
  EXPECT_EQ(node.Committed(), 5);
}

TEST(GroupRetention, WithoutMembersEachOffsetCountsFromItsCommit) {
  TestNode node;
  node.CommitSimple(5);
  node.Pass(kWeek - absl::Hours(1));
  CommitRequest second;
  second.group = "g";
  second.partitions = {{{"t", 1}, 6, -1, ""}};
  node.Commit(second);
  node.Pass(absl::Hours(2));
  EXPECT_EQ(node.Committed("t", 0), -1);
  EXPECT_EQ(node.Committed("t", 1), 6);
}

TEST(GroupRetention, AnEmptyGroupWithoutOffsetsGoesFromMemoryAndDisk) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  node.Leave({{ids[0], std::nullopt}});
  EXPECT_FALSE(node.disk.empty());
  node.Pass(absl::Minutes(25));
  EXPECT_EQ(node.coordinator->group_count(), 0u);
  EXPECT_TRUE(node.disk.empty());
}

TEST(GroupRetention, ExpiringNeverTakesACommitThatIsUnderWay) {
  TestNode node;
  node.CommitSimple(5);
  node.Pass(kWeek - absl::Minutes(5));
  node.hold_writes = true;
  const RequestId commit = node.CommitSimple(6);
  node.Pass(absl::Minutes(20));
  while (!node.held.empty()) node.FinishWrite();
  EXPECT_EQ(node.Take<CommitAnswer>(commit).partitions[0], ErrorCode::kNone);
  EXPECT_EQ(node.Committed(), 6);
  node.Restart();
  EXPECT_EQ(node.Committed(), 6);
}

TEST(GroupRetention, ExpiringThatCannotBeWrittenIsTriedAgain) {
  TestNode node;
  node.CommitSimple(5);
  node.disk_works = false;
  node.Pass(kWeek + absl::Minutes(20));
  EXPECT_EQ(node.Committed(), 5);
  node.disk_works = true;
  node.Pass(absl::Minutes(10));
  EXPECT_EQ(node.Committed(), -1);
  EXPECT_TRUE(node.disk.empty());
}

}  // namespace
}  // namespace selvage::kafka::group
