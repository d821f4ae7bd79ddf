#include "tests/unit/kafka/group/test_node.h"

namespace selvage::kafka::group {
namespace {

CommitRequest CommitOf(const std::string& member_id, int32_t generation, int64_t offset) {
  return {"g", member_id, std::nullopt, generation, {{{"t", 0}, offset, -1, ""}}};
}

ErrorCode CommitError(TestNode& node, CommitRequest request) {
  return node.Take<CommitAnswer>(node.Commit(std::move(request))).partitions[0];
}

TEST(GroupOffsets, ComeBackWithMetadataAndLeaderEpoch) {
  TestNode node;
  CommitRequest request;
  request.group = "g";
  request.partitions = {{{"t", 0}, 41, 7, "note"}, {{"t", 3}, 0, -1, ""}};
  EXPECT_EQ(node.Take<CommitAnswer>(node.Commit(request)).partitions, std::vector(2, ErrorCode::kNone));
  const auto fetched = node.coordinator->Fetch("g", {{"t", 3}, {"t", 0}});
  EXPECT_EQ(fetched[0].offset, 0);
  EXPECT_EQ(fetched[0].leader_epoch, -1);
  EXPECT_EQ(fetched[1].offset, 41);
  EXPECT_EQ(fetched[1].leader_epoch, 7);
  EXPECT_EQ(fetched[1].metadata, "note");
  EXPECT_EQ(node.coordinator->FetchAll("g").size(), 2u);
}

TEST(GroupOffsets, WhatWasNotCommittedIsMinusOne) {
  TestNode node;
  const auto unknown = node.coordinator->Fetch("g", {{"t", 0}});
  EXPECT_EQ(unknown[0], CommittedOffset{});
  EXPECT_TRUE(node.coordinator->FetchAll("g").empty());
  node.CommitSimple(5);
  const auto other = node.coordinator->Fetch("g", {{"t", 1}});
  EXPECT_EQ(other[0].offset, -1);
  EXPECT_EQ(other[0].leader_epoch, -1);
  EXPECT_EQ(other[0].metadata, "");
}

TEST(GroupOffsets, AreNeitherAcknowledgedNorShownBeforeTheyAreDurable) {
  TestNode node;
  node.CommitSimple(1);
  node.hold_writes = true;
  const RequestId commit = node.CommitSimple(2);
  EXPECT_FALSE(node.Answered(commit));
  EXPECT_EQ(node.Committed(), 1);
  node.FinishWrite();
  EXPECT_EQ(node.Take<CommitAnswer>(commit).partitions[0], ErrorCode::kNone);
  EXPECT_EQ(node.Committed(), 2);
}

TEST(GroupOffsets, ACommitThatCannotBeWrittenIsNotDone) {
  TestNode node;
  node.CommitSimple(1);
  node.disk_works = false;
  EXPECT_EQ(node.Take<CommitAnswer>(node.CommitSimple(2)).partitions[0], ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.Committed(), 1);
  EXPECT_EQ(node.Take<CommitAnswer>(node.CommitSimple(1, "new")).partitions[0],
            ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.StateOf("new"), "Dead");
}

TEST(GroupOffsets, OversizedMetadataIsRefusedForItsPartitionOnly) {
  TestNode node;
  CommitRequest request;
  request.group = "g";
  request.partitions = {{{"t", 0}, 1, -1, std::string(4097, 'm')}, {{"t", 1}, 2, -1, std::string(4096, 'm')}};
  const auto errors = node.Take<CommitAnswer>(node.Commit(request)).partitions;
  EXPECT_EQ(errors, (std::vector{ErrorCode::kOffsetMetadataTooLarge, ErrorCode::kNone}));
  EXPECT_EQ(node.Committed("t", 0), -1);
  EXPECT_EQ(node.Committed("t", 1), 2);
}

TEST(GroupOffsets, OutsidersMayCommitOnlyToAnEmptyGroup) {
  TestNode node;
  EXPECT_EQ(CommitError(node, CommitOf("", -1, 3)), ErrorCode::kNone);
  const auto ids = node.FormGroup(1);
  EXPECT_EQ(CommitError(node, CommitOf("", -1, 4)), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(node.Committed(), 3);
  node.Leave({{ids[0], std::nullopt}});
  EXPECT_EQ(CommitError(node, CommitOf("", -1, 5)), ErrorCode::kNone);
}

TEST(GroupOffsets, MembersCommitInTheirGeneration) {
  TestNode node;
  EXPECT_EQ(CommitError(node, CommitOf("a", 1, 3)), ErrorCode::kIllegalGeneration);
  const auto ids = node.FormGroup(1);
  EXPECT_EQ(CommitError(node, CommitOf(ids[0], 1, 3)), ErrorCode::kNone);
  EXPECT_EQ(CommitError(node, CommitOf(ids[0], 0, 4)), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(CommitError(node, CommitOf("stranger", 1, 4)), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(node.Committed(), 3);
}

TEST(GroupOffsets, MembersMayCommitBeforeTheyRejoinButNotBeforeTheySync) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  const RequestId joiner = node.Join(TestNode::NewClient());
  EXPECT_EQ(node.StateOf(), "PreparingRebalance");
  EXPECT_EQ(CommitError(node, CommitOf(ids[0], 1, 3)), ErrorCode::kNone);
  node.Join(TestNode::NewClient(ids[0]));
  ASSERT_TRUE(node.Answered(joiner));
  EXPECT_EQ(node.StateOf(), "CompletingRebalance");
  EXPECT_EQ(CommitError(node, CommitOf(ids[0], 2, 4)), ErrorCode::kRebalanceInProgress);
}

TEST(GroupOffsets, ACommitIsASignOfLife) {
  TestNode node;
  const auto ids = node.FormGroup(1);
  for (int i = 0; i < 5; ++i) {
    node.Pass(absl::Seconds(9));
    EXPECT_EQ(CommitError(node, CommitOf(ids[0], 1, i)), ErrorCode::kNone);
  }
}

TEST(GroupOffsets, ManyCommitsAtOnceEndInTheLast) {
  TestNode node;
  node.hold_writes = true;
  for (int64_t offset = 1; offset <= 3; ++offset) node.CommitSimple(offset);
  node.FinishWrite(true);
  node.FinishWrite(false);
  EXPECT_EQ(node.Committed(), 1);
  node.FinishWrite(true);
  EXPECT_EQ(node.Committed(), 3);
}

TEST(GroupOffsets, DeletedOnesAreGone) {
  TestNode node;
  EXPECT_EQ(node.Take<DeleteOffsetsAnswer>(node.DeleteOffsets({{"t", 0}})).error,
            ErrorCode::kGroupIdNotFound);
  node.CommitSimple(3);
  const auto answer = node.Take<DeleteOffsetsAnswer>(node.DeleteOffsets({{"t", 0}, {"t", 9}}));
  EXPECT_EQ(answer.partitions, std::vector(2, ErrorCode::kNone));
  EXPECT_EQ(node.Committed(), -1);
  EXPECT_TRUE(node.disk.empty());
}

TEST(GroupOffsets, ADeletionThatCannotBeWrittenIsNotDone) {
  TestNode node;
  node.CommitSimple(3);
  node.disk_works = false;
  const auto answer = node.Take<DeleteOffsetsAnswer>(node.DeleteOffsets({{"t", 0}}));
  EXPECT_EQ(answer.partitions[0], ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(node.Committed(), 3);
}

TEST(GroupOffsets, AMembersTopicKeepsItsOffsets) {
  TestNode node;
  node.CommitSimple(3);
  JoinRequest request = TestNode::NewClient();
  request.protocols = {{"range", std::string("\0\0\0\0\0\1\0\1u", 9)}};
  node.Join(request);
  EXPECT_EQ(node.Take<DeleteOffsetsAnswer>(node.DeleteOffsets({{"u", 0}, {"t", 0}})).partitions,
            (std::vector{ErrorCode::kGroupSubscribedToTopic, ErrorCode::kNone}));
  EXPECT_EQ(node.Committed(), -1);
}

TEST(GroupOffsets, OfAGroupWhoseSubscriptionCannotBeReadStay) {
  TestNode node;
  node.CommitSimple(3);
  node.FormGroup(1);
  EXPECT_EQ(node.Take<DeleteOffsetsAnswer>(node.DeleteOffsets({{"t", 0}})).partitions[0],
            ErrorCode::kGroupSubscribedToTopic);
}

TEST(GroupOffsets, OfANonEmptyGroupOfAnotherTypeStay) {
  TestNode node;
  node.CommitSimple(3);
  JoinRequest request = TestNode::NewClient();
  request.protocol_type = "connect";
  node.Join(request);
  EXPECT_EQ(node.Take<DeleteOffsetsAnswer>(node.DeleteOffsets({{"t", 0}})).error, ErrorCode::kNonEmptyGroup);
}

}  // namespace
}  // namespace selvage::kafka::group
