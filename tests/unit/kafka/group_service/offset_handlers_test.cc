#include "fabric/kafka/protocol/offset_delete.h"
#include "tests/unit/kafka/group_service/group_node.h"

namespace selvage::kafka::test {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(OffsetCommit, EveryVersionOfItStores) {
  for (int16_t version = 2; version <= 9; ++version) {
    GroupNode node;
    const auto committed = node.Ask<OffsetCommitResponse>(GroupNode::Committing(40 + version), version);
    ASSERT_THAT(committed.topics, SizeIs(1));
    EXPECT_EQ(committed.topics[0].partitions[0].error_code, ErrorCode::kNone);
    EXPECT_EQ(node.Committed(), 40 + version);
  }
}

TEST(OffsetCommit, EachPartitionHasItsOwnOutcome) {
  GroupNode node;
  OffsetCommitRequest request = GroupNode::Committing(5);
  request.topics[0].partitions.push_back({4, 1, -1, std::nullopt});
  request.topics[0].partitions.push_back({1, 7, -1, std::string(5000, 'x')});
  request.topics[0].partitions.push_back({2, 8, -1, std::nullopt});
  request.topics.push_back({"no such topic", {{0, 1, -1, std::nullopt}}});
  const auto committed = node.Ask<OffsetCommitResponse>(request, 8);
  ASSERT_THAT(committed.topics, SizeIs(2));
  const auto& rows = committed.topics[0].partitions;
  ASSERT_THAT(rows, SizeIs(4));
  EXPECT_EQ(rows[0].error_code, ErrorCode::kNone);
  EXPECT_EQ(rows[1].error_code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(rows[1].partition_index, 4);
  EXPECT_EQ(rows[2].error_code, ErrorCode::kOffsetMetadataTooLarge);
  EXPECT_EQ(rows[3].error_code, ErrorCode::kNone);
  EXPECT_EQ(committed.topics[1].partitions[0].error_code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(node.Committed(0), 5);
  EXPECT_EQ(node.Committed(1), -1);
  EXPECT_EQ(node.Committed(2), 8);
}

TEST(OffsetCommit, AnOutsiderIsRefusedWhileThereAreMembers) {
  GroupNode node;
  const auto ids = node.FormGroup(1);
  EXPECT_EQ(node.Commit(5), ErrorCode::kUnknownMemberId);
  OffsetCommitRequest request = GroupNode::Committing(5);
  request.member_id = ids[0];
  request.generation_id_or_member_epoch = 1;
  EXPECT_EQ(node.Ask<OffsetCommitResponse>(request, 8).topics[0].partitions[0].error_code, ErrorCode::kNone);
  request.generation_id_or_member_epoch = 0;
  EXPECT_EQ(node.Ask<OffsetCommitResponse>(request, 8).topics[0].partitions[0].error_code,
            ErrorCode::kIllegalGeneration);
}

TEST(OffsetFetch, EveryVersionOfItTellsWhatIsCommittedAndWhatIsNot) {
  GroupNode node;
  EXPECT_EQ(node.Commit(5, 1), ErrorCode::kNone);
  for (int16_t version = 1; version <= 9; ++version) {
    OffsetFetchRequest request;
    const std::vector<OffsetFetchRequest::Topic> topics = {{"t", {1, 0}}};
    if (version < 8) {
      request.group_id = "g";
      request.topics = topics;
    } else {
      request.groups = {{"g", std::nullopt, -1, topics}};
    }
    const auto fetched = node.Ask<OffsetFetchResponse>(request, version);
    const auto& rows = version < 8 ? fetched.topics : fetched.groups.at(0).topics;
    ASSERT_THAT(rows, SizeIs(1));
    ASSERT_THAT(rows[0].partitions, SizeIs(2));
    EXPECT_EQ(rows[0].partitions[0].committed_offset, 5);
    EXPECT_EQ(rows[0].partitions[0].metadata, "note");
    if (version >= 5) {
      EXPECT_EQ(rows[0].partitions[0].committed_leader_epoch, 3);
    }
    EXPECT_EQ(rows[0].partitions[1].committed_offset, -1);
    EXPECT_EQ(rows[0].partitions[1].metadata, "") << "some clients read no null";
    EXPECT_EQ(rows[0].partitions[1].error_code, ErrorCode::kNone);
  }
}

TEST(OffsetFetch, AllTopicsOfAGroup) {
  GroupNode node;
  node.topics.partitions["u"] = 1;
  EXPECT_EQ(node.Commit(5, 1), ErrorCode::kNone);
  OffsetCommitRequest request = GroupNode::Committing(9);
  request.topics[0].name = "u";
  (void)node.Ask<OffsetCommitResponse>(request, 8);
  OffsetFetchRequest all;
  all.group_id = "g";
  const auto fetched = node.Ask<OffsetFetchResponse>(all, 5);
  ASSERT_THAT(fetched.topics, SizeIs(2));
  EXPECT_EQ(fetched.topics[1].name, "u");
  EXPECT_EQ(fetched.topics[1].partitions[0].committed_offset, 9);
  OffsetFetchRequest several;
  several.groups = {{"nobody", std::nullopt, -1, std::nullopt}, {"g", std::nullopt, -1, std::nullopt}};
  const auto both = node.Ask<OffsetFetchResponse>(several, 9);
  ASSERT_THAT(both.groups, SizeIs(2));
  EXPECT_THAT(both.groups[0].topics, IsEmpty());
  EXPECT_THAT(both.groups[1].topics, SizeIs(2));
}

TEST(OffsetDelete, WhatNobodySubscribesTo) {
  GroupNode node;
  EXPECT_EQ(node.Commit(5, 1), ErrorCode::kNone);
  EXPECT_EQ(node.Commit(6, 2), ErrorCode::kNone);
  auto deleted = node.Ask<OffsetDeleteResponse>(OffsetDeleteRequest{"g", {{"t", {{1}, {3}}}}}, 0);
  EXPECT_EQ(deleted.error_code, ErrorCode::kNone);
  ASSERT_THAT(deleted.topics, SizeIs(1));
  EXPECT_EQ(deleted.topics[0].partitions[0].error_code, ErrorCode::kNone);
  node.Restart();
  EXPECT_EQ(node.Committed(1), -1);
  EXPECT_EQ(node.Committed(2), 6);
  deleted = node.Ask<OffsetDeleteResponse>(OffsetDeleteRequest{"nobody", {{"t", {{1}}}}}, 0);
  EXPECT_EQ(deleted.error_code, ErrorCode::kGroupIdNotFound);
  EXPECT_THAT(deleted.topics, IsEmpty());
}

}  // namespace
}  // namespace selvage::kafka::test
