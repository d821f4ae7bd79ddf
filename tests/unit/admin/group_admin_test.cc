#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "fabric/kafka/group_admin/group_metrics.h"
#include "tests/support/eventually.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// Commits as a client does that is no member.
template <class Node>
void Commit(Node& node, const std::string& topic, int32_t partition, int64_t offset) {
  absl::Notification done;
  node.groups().Commit({"g", "", std::nullopt, -1, {{{topic, partition}, offset, 2, "note"}}},
                       [&](kafka::group::CommitAnswer answer) {
                         EXPECT_EQ(answer.partitions[0], kafka::ErrorCode::kNone);
                         done.Notify();
                       });
  done.WaitForNotification();
}

class GroupAdminTest : public testing::Test {
 protected:
  GroupAdminTest() {
    v1::CreateStreamRequest request;
    *request.mutable_definition() = Definition("t", v1::UP, 2);
    EXPECT_TRUE(edge_.Ask(&Stub::CreateStream, request).ok());
    EXPECT_TRUE(edge_.Produce(Address("t", 0), Batch({"a", "b", "c", "d"}, 1000)).ok());
    EXPECT_TRUE(edge_.Produce(Address("t", 1), Batch({"a", "b"}, 2000)).ok());
  }
  /// Joins, and stays.
  void AddMember() {
    kafka::group::JoinRequest join;
    join.group = "g";
    join.client_id = "client";
    join.session_timeout = join.rebalance_timeout = absl::Seconds(30);
    join.protocol_type = "consumer";
    join.protocols = {{"range", ""}};
    edge_.groups().Join(join, [](auto) {});
  }
  absl::StatusOr<v1::DescribeGroupResponse> Describe() {
    v1::DescribeGroupRequest request;
    request.set_group("g");
    return edge_.Ask(&Stub::DescribeGroup, request);
  }
  absl::StatusOr<std::vector<int64_t>> Reset(v1::ResetTo to, int64_t value = 0, const std::string& topic = "",
                                             std::vector<int32_t> partitions = {}, bool dry_run = false) {
    v1::ResetGroupRequest request;
    request.set_group("g");
    request.set_to(to);
    request.set_value(value);
    request.set_topic(topic);
    request.mutable_partitions()->Add(partitions.begin(), partitions.end());
    request.set_dry_run(dry_run);
    SELVAGE_ASSIGN_OR_RETURN(const auto set, edge_.Ask(&Stub::ResetGroup, request));
    std::vector<int64_t> offsets;
    for (const auto& row : set.offsets()) offsets.push_back(row.offset());
    return offsets;
  }
  absl::Status Import(const std::string& topic, int32_t partition, int64_t offset) {
    v1::ImportGroupRequest request;
    request.set_group("g");
    v1::GroupOffset& row = *request.add_offsets();
    row.set_topic(topic);
    row.set_partition(partition);
    row.set_offset(offset);
    row.set_leader_epoch(3);
    row.set_metadata("moved");
    return edge_.Ask(&Stub::ImportGroup, request).status();
  }
  std::vector<int64_t> Committed() {
    std::vector<int64_t> offsets;
    for (const auto& [at, committed] : edge_.groups().FetchAll("g")) offsets.push_back(committed.offset);
    return offsets;
  }

  EdgeNode edge_;
};

TEST_F(GroupAdminTest, ListsAndDescribesWithTheLag) {
  Commit(edge_, "t", 0, 1);
  Commit(edge_, "t", 1, 2);
  AddMember();
  const auto listed = edge_.Ask(&Stub::ListGroups, v1::ListGroupsRequest());
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->groups_size(), 1);
  EXPECT_EQ(listed->groups(0).group(), "g");
  EXPECT_EQ(listed->groups(0).partitions(), 2);
  EXPECT_EQ(listed->groups(0).lag(), 3);
  const auto group = Describe();
  ASSERT_TRUE(group.ok()) << group.status();
  EXPECT_EQ(group->state(), "PreparingRebalance");
  ASSERT_EQ(group->members_size(), 1);
  EXPECT_EQ(group->members(0).client_id(), "client");
  ASSERT_EQ(group->offsets_size(), 2);
  EXPECT_EQ(group->offsets(0).topic(), "t");
  EXPECT_EQ(group->offsets(0).offset(), 1);
  EXPECT_EQ(group->offsets(0).end(), 4);
  EXPECT_EQ(group->offsets(0).lag(), 3);
  EXPECT_EQ(group->offsets(0).leader_epoch(), 2);
  EXPECT_EQ(group->offsets(0).metadata(), "note");
  EXPECT_EQ(group->offsets(1).lag(), 0);
}

TEST_F(GroupAdminTest, APartitionThatIsNotHereHasNoLag) {
  Commit(edge_, "gone", 0, 7);
  const auto group = Describe();
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(group->offsets(0).offset(), 7);
  EXPECT_EQ(group->offsets(0).end(), -1);
  EXPECT_EQ(group->offsets(0).lag(), -1);
  EXPECT_THAT(*Reset(v1::RESET_EARLIEST), ElementsAre()) << "and is left alone";
}

TEST_F(GroupAdminTest, ResetsToEveryKindOfPlace) {
  Commit(edge_, "t", 0, 2);
  EXPECT_THAT(*Reset(v1::RESET_LATEST), ElementsAre(4));
  EXPECT_THAT(Committed(), ElementsAre(4));
  EXPECT_THAT(*Reset(v1::RESET_EARLIEST), ElementsAre(0));
  EXPECT_THAT(*Reset(v1::RESET_OFFSET, 3), ElementsAre(3));
  EXPECT_THAT(*Reset(v1::RESET_OFFSET, 300), ElementsAre(4)) << "the nearest that is held";
  EXPECT_THAT(*Reset(v1::RESET_BY, -3), ElementsAre(1));
  EXPECT_THAT(*Reset(v1::RESET_BY, INT64_MAX), ElementsAre(4));
  EXPECT_THAT(*Reset(v1::RESET_TIME, 1002), ElementsAre(2));
  EXPECT_THAT(*Reset(v1::RESET_TIME, 5000), ElementsAre(4)) << "nothing is that new";
  EXPECT_THAT(*Reset(v1::RESET_EARLIEST, 0, "t", {}, /*dry_run=*/true), ElementsAre(0, 0));
  EXPECT_THAT(Committed(), ElementsAre(4)) << "nothing was changed";
  EXPECT_THAT(*Reset(v1::RESET_LATEST, 0, "t", {1}), ElementsAre(2));
  EXPECT_THAT(Committed(), ElementsAre(4, 2));
}

TEST_F(GroupAdminTest, AGroupWithMembersIsNotChanged) {
  Commit(edge_, "t", 0, 2);
  AddMember();
  EXPECT_EQ(ErrorKind(Reset(v1::RESET_LATEST).status()), "group_not_empty");
  EXPECT_EQ(ErrorKind(Import("t", 0, 1)), "group_not_empty");
  EXPECT_THAT(Committed(), ElementsAre(2));
}

TEST_F(GroupAdminTest, WhatDoesNotExistIsNamed) {
  EXPECT_EQ(ErrorKind(Describe().status()), "unknown_group");
  EXPECT_EQ(ErrorKind(Reset(v1::RESET_LATEST).status()), "unknown_group");
  EXPECT_EQ(ErrorKind(Reset(v1::RESET_LATEST, 0, "who").status()), "unknown_stream");
  EXPECT_EQ(ErrorKind(Reset(v1::RESET_LATEST, 0, "t", {2}).status()), "wrong_partition");
  EXPECT_EQ(ErrorKind(Import("who", 0, 1)), "unknown_stream");
  EXPECT_EQ(ErrorKind(Import("t", 2, 1)), "wrong_partition");
}

TEST_F(GroupAdminTest, ImportsWhatIsThereAndNotWhatIsNotThereYet) {
  const absl::Status early = Import("t", 0, 5);
  EXPECT_EQ(ErrorKind(early), "offset_out_of_range");
  EXPECT_TRUE(IsRetryable(early));
  ASSERT_TRUE(Import("t", 0, 3).ok());
  const auto committed = edge_.groups().Fetch("g", {{"t", 0}})[0];
  EXPECT_EQ(committed.offset, 3);
  EXPECT_EQ(committed.leader_epoch, 3);
  EXPECT_EQ(committed.metadata, "moved");
}

TEST_F(GroupAdminTest, AResetByTimeEndsWhenNobodyWaitsForItAndChangesNothing) {
  Commit(edge_, "t", 0, 2);
  Commit(edge_, "t", 1, 1);
  kafka::GroupAdmin groups(edge_.groups(), edge_.topics());
  v1::ResetGroupRequest request;
  request.set_group("g");
  request.set_to(v1::RESET_TIME);
  request.set_value(1000);
  // In the first log, in the second, and between the last of them and the commit.
  for (int given_up = 1; given_up <= 3; ++given_up) {
    int asked = 0;
    EXPECT_TRUE(absl::IsCancelled(groups.Reset(request, [&] { return ++asked == given_up; }).status()));
    EXPECT_EQ(asked, given_up);
    EXPECT_THAT(Committed(), ElementsAre(2, 1));
  }
  EXPECT_TRUE(groups.Reset(request, [] { return false; }).ok());
  EXPECT_THAT(Committed(), ElementsAre(0, 0));
}

TEST(GroupReset, IsGivenUpWhenItsCallerIs) {
  EdgeNode edge({.disk = {}, .pool = {.threads = 1, .calls_max = 2}});
  v1::CreateStreamRequest create;
  *create.mutable_definition() = Definition("t", v1::UP, 1);
  ASSERT_TRUE(edge.Ask(&Stub::CreateStream, create).ok());
  ASSERT_TRUE(edge.Produce(Address("t"), Batch({"a"})).ok());
  const auto cancelled = [&] {
    return edge.metrics().Text().find("selvage_errors_total{kind=\"cancelled\"}") != std::string::npos;
  };
  const auto is_given_up = [&] {
    Commit(edge, "t", 0, 1);
    // Keeps the only thread for calls, so that the reset waits for it.
    absl::Notification kept, release;
    edge.node().alarms().OnResolve("keeps", [&](const v1::AlarmDocument&, const std::string&) {
      kept.Notify();
      release.WaitForNotification();
      return absl::OkStatus();
    });
    edge.node().alarms().Report({"keeps", "the thread", "", "", false});
    v1::ResolveAlarmRequest resolve;
    resolve.set_id(edge.node().alarms().All(false).back().id());
    std::thread keeper([&] { EXPECT_TRUE(edge.Ask(&Stub::ResolveAlarm, resolve).ok()); });
    kept.WaitForNotification();

    grpc::ClientContext context;
    v1::ResetGroupRequest reset;
    reset.set_group("g");
    reset.set_to(v1::RESET_EARLIEST);
    v1::SetGroupOffsetsResponse response;
    absl::Notification ended;
    edge.stub().async()->ResetGroup(&context, &reset, &response,
                                    [&](const grpc::Status&) { ended.Notify(); });
    context.TryCancel();
    ended.WaitForNotification();
    release.Notify();
    keeper.join();
    // It runs behind the reset, which has ended then, if it came.
    EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
      return KindOf(edge.Ask(&Stub::ListStreams, v1::ListStreamsRequest())).empty();
    }));
    return cancelled() && edge.groups().Fetch("g", {{"t", 0}})[0].offset == 1;
  };
  // The node may hear of the call too late, when it was never sent, or of its end, when it is done.
  EXPECT_TRUE(Eventually(absl::Seconds(60), is_given_up));
}

TEST_F(GroupAdminTest, TheLagIsAMetric) {
  kafka::GroupMetrics metrics(edge_.metrics(), edge_.groups(), edge_.topics());
  Commit(edge_, "t", 0, 1);
  Commit(edge_, "gone", 0, 1);
  const std::string text = edge_.metrics().Text();
  EXPECT_THAT(text,
              HasSubstr("selvage_kafka_group_lag_records{group=\"g\",partition=\"0\",topic=\"t\"} 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("topic=\"gone\"")));
  EXPECT_THAT(text, HasSubstr("selvage_kafka_group_rows_omitted 0\n"));
}

TEST_F(GroupAdminTest, ANameThatIsNoTextIsShownEscaped) {
  absl::Notification done;
  edge_.groups().Commit({"\xff", "", std::nullopt, -1, {{{"t", 0}, 1, -1, "\xc3"}}},
                        [&](auto) { done.Notify(); });
  done.WaitForNotification();
  kafka::GroupMetrics metrics(edge_.metrics(), edge_.groups(), edge_.topics());
  const auto listed = edge_.Ask(&Stub::ListGroups, v1::ListGroupsRequest());
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->groups(0).group(), "\\xff");
  EXPECT_THAT(edge_.metrics().Text(), HasSubstr("group=\"\\\\xff\""));
}

TEST(CoreGroupAdmin, AnEdgesGroupGoesOnAtItsOriginTopic) {
  CoreNode core;
  const v1::StreamDefinition definition = Definition("t", v1::UP, 1);
  v1::CreateStreamRequest create;
  *create.mutable_definition() = definition;
  ASSERT_TRUE(core.Ask(&Stub::CreateStream, create).ok());
  ASSERT_NE(core.Replicate(core.Join("rig-7"), definition, 0, {Batch({"a", "b", "c"}, 1000)}), nullptr);
  v1::ImportGroupRequest request;
  request.set_group("g");
  v1::GroupOffset& row = *request.add_offsets();
  row.set_topic("rig-7.t");
  row.set_offset(2);
  const auto imported = core.Ask(&Stub::ImportGroup, request);
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(imported->offsets(0).lag(), 1);
  row.set_offset(4);
  EXPECT_EQ(ErrorKind(core.Ask(&Stub::ImportGroup, request).status()), "offset_out_of_range")
      << "the replica is not there yet";
}

}  // namespace
}  // namespace selvage::test
