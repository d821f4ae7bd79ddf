#include "edge/edge_admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;

class EdgeAdminTest : public testing::Test {
 protected:
  absl::StatusOr<v1::StreamDefinition> Create(const v1::StreamDefinition& definition) {
    v1::CreateStreamRequest request;
    *request.mutable_definition() = definition;
    return edge_.Ask(&Stub::CreateStream, request);
  }
  absl::StatusOr<v1::DescribeStreamResponse> Describe(const std::string& stream) {
    v1::DescribeStreamRequest request;
    request.set_stream(stream);
    return edge_.Ask(&Stub::DescribeStream, request);
  }
  absl::StatusOr<v1::StreamDefinition> SetPriority(const std::string& stream, uint32_t priority,
                                                   const std::string& field = "priority",
                                                   uint64_t if_generation = 0) {
    v1::SetStreamRequest request;
    request.set_stream(stream);
    request.mutable_settings()->set_priority(priority);
    request.add_fields(field);
    request.set_if_generation(if_generation);
    return edge_.Ask(&Stub::SetStream, request);
  }
  absl::StatusOr<v1::DeleteStreamResponse> Delete(const std::string& stream) {
    v1::DeleteStreamRequest request;
    request.set_stream(stream);
    return edge_.Ask(&Stub::DeleteStream, request);
  }

  EdgeNode edge_;
};

TEST_F(EdgeAdminTest, CreatesAProvisionalStream) {
  const auto created = Create(Definition("temperature", v1::UP, 3));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->generation(), 0u);
  EXPECT_EQ(created->settings().on_full(), v1::REJECT) << "completed with the defaults";

  const auto list = edge_.Ask(&Stub::ListStreams, v1::ListStreamsRequest());
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->streams_size(), 1);
  EXPECT_EQ(list->streams(0).SerializeAsString(), created->SerializeAsString());

  const auto described = Describe("temperature");
  ASSERT_TRUE(described.ok());
  ASSERT_EQ(described->logs_size(), 3);
  EXPECT_EQ(described->logs(2).partition(), 2);
  EXPECT_EQ(described->logs(2).topic_partition(), 2);
  EXPECT_EQ(described->logs(2).edge(), "");
  EXPECT_EQ(described->logs(2).acked(), -1);
  EXPECT_EQ(described->logs(2).log_id().size(), 16u);
}

TEST_F(EdgeAdminTest, RefusesDefinitionsThatCannotBe) {
  ASSERT_TRUE(Create(Definition("temperature", v1::UP)).ok());
  EXPECT_EQ(KindOf(Create(Definition("temperature", v1::UP))), "stream_exists");
  EXPECT_EQ(KindOf(Create(Definition("no/slashes", v1::UP))), "invalid_stream");
  EXPECT_EQ(KindOf(Create(Definition("many", v1::UP, 5000))), "invalid_stream");
  EXPECT_EQ(KindOf(Create(Definition("commands", v1::DOWN))), "wrong_node");
  EXPECT_EQ(KindOf(Create(Definition("rules", v1::DOWN_SHARED))), "wrong_node");
  EXPECT_EQ(KindOf(Describe("humidity")), "unknown_stream");
}

TEST_F(EdgeAdminTest, ChangesOnlyWhatTheCoreDoesNotKnow) {
  ASSERT_TRUE(Create(Definition("temperature", v1::UP)).ok());
  const auto set = SetPriority("temperature", 7);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->settings().priority(), 7u);
  EXPECT_EQ(Describe("temperature")->definition().settings().priority(), 7u);
  EXPECT_EQ(edge_.state().UpFlows().front()->definition().settings().priority(), 7u) << "and is offered so";

  EXPECT_EQ(KindOf(SetPriority("temperature", 70)), "invalid_stream");
  EXPECT_EQ(KindOf(SetPriority("temperature", 7, "colour")), "invalid_stream");
  EXPECT_EQ(KindOf(SetPriority("temperature", 7, "priority", 3)), "generation_mismatch");
  EXPECT_EQ(KindOf(SetPriority("humidity", 7)), "unknown_stream");

  edge_.TakeFromCore(Definition("commands", v1::DOWN), {});
  const auto refused = SetPriority("commands", 7);
  EXPECT_EQ(KindOf(refused), "wrong_node");
  EXPECT_THAT(ErrorHint(refused.status()), HasSubstr("core"));
}

TEST_F(EdgeAdminTest, DeletesOnlyWhatTheCoreDoesNotKnow) {
  ASSERT_TRUE(Create(Definition("temperature", v1::UP, 2)).ok());
  const auto deleted = Delete("temperature");
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->logs(), 2);
  EXPECT_EQ(KindOf(Delete("temperature")), "unknown_stream");
  EXPECT_TRUE(edge_.state().UpFlows().empty());
  edge_.TakeFromCore(Definition("commands", v1::DOWN), {});
  EXPECT_EQ(KindOf(Delete("commands")), "wrong_node");
}

TEST_F(EdgeAdminTest, RenamesAProvisionalStreamWithItsRecords) {
  ASSERT_TRUE(Create(Definition("plant.alarms", v1::UP)).ok());
  ASSERT_TRUE(edge_.Produce(Address("plant.alarms"), Batch({"1", "2"})).ok());
  v1::RenameStreamRequest request;
  request.set_stream("plant.alarms");
  request.set_to("plant-alarms");
  const auto renamed = edge_.Ask(&Stub::RenameStream, request);
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  EXPECT_EQ(renamed->name(), "plant-alarms");
  EXPECT_EQ(KindOf(Describe("plant.alarms")), "unknown_stream");
  const auto described = Describe("plant-alarms");
  ASSERT_TRUE(described.ok());
  ASSERT_EQ(described->logs_size(), 1);
  EXPECT_EQ(described->logs(0).end(), 2);
  ASSERT_TRUE(edge_.Produce(Address("plant-alarms"), Batch({"3"})).ok());
  EXPECT_EQ(Describe("plant-alarms")->logs(0).end(), 3);

  EXPECT_EQ(KindOf(edge_.Ask(&Stub::RenameStream, request)), "unknown_stream");
  ASSERT_TRUE(Create(Definition("plant.alarms", v1::UP)).ok());
  EXPECT_EQ(KindOf(edge_.Ask(&Stub::RenameStream, request)), "stream_exists");
  request.set_to("no name");
  EXPECT_EQ(KindOf(edge_.Ask(&Stub::RenameStream, request)), "invalid_stream");
}

TEST_F(EdgeAdminTest, SendsQuestionsAboutTheFleetToTheCore) {
  v1::SetEdgeRequest set;
  v1::RetireEdgeRequest retire;
  set.set_edge("rig-8");
  retire.set_edge("rig-8");
  v1::GetStatusRequest other;
  other.set_edge("rig-8");
  EXPECT_EQ(KindOf(edge_.Ask(&Stub::ListEdges, v1::ListEdgesRequest())), "wrong_node");
  EXPECT_EQ(KindOf(edge_.Ask(&Stub::SetEdge, set)), "wrong_node");
  EXPECT_EQ(KindOf(edge_.Ask(&Stub::RetireEdge, retire)), "wrong_node");
  EXPECT_EQ(KindOf(edge_.Ask(&Stub::ListOrigins, v1::ListOriginsRequest())), "wrong_node");
  EXPECT_EQ(KindOf(edge_.Ask(&Stub::GetStatus, other)), "wrong_node");
}

TEST_F(EdgeAdminTest, TellsItsStatus) {
  ASSERT_TRUE(Create(Definition("temperature", v1::UP)).ok());
  ASSERT_TRUE(edge_.Produce(Address("temperature"), Batch({"1", "2"})).ok());
  edge_.node().alarms().Report({"clock_skew", "main", "an hour", "set the clock", false});
  edge_.node().budget().Measured(1000, 5000);
  edge_.link = {true, "core:7443"};

  const auto status = edge_.Ask(&Stub::GetStatus, v1::GetStatusRequest());
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->node(), "rig-7");
  EXPECT_EQ(status->role(), "edge");
  EXPECT_EQ(status->version(), "1.2.3");
  EXPECT_EQ(status->store_id(), edge_.node().identity().store_id().bytes());
  EXPECT_EQ(status->store_bytes(), 1000u);
  EXPECT_EQ(status->volume_free(), 5000u);
  EXPECT_EQ(status->open_alarms(), 1);
  EXPECT_EQ(status->links(), 1);
  EXPECT_EQ(status->link_detail(), "core:7443");
  EXPECT_GE(status->uptime_ms(), 0);
  ASSERT_EQ(status->flows_size(), 1);
  EXPECT_EQ(status->flows(0).stream(), "temperature");
  EXPECT_EQ(status->flows(0).source_end(), 2);
  EXPECT_EQ(status->flows(0).state(), "offline");

  v1::GetStatusRequest itself;
  itself.set_edge("rig-7");
  EXPECT_TRUE(edge_.Ask(&Stub::GetStatus, itself).ok());
}

TEST_F(EdgeAdminTest, ListsAndResolvesAlarms) {
  edge_.node().alarms().Report({"fork", "rig-7", "restored", "", true});
  auto list = edge_.Ask(&Stub::ListAlarms, v1::ListAlarmsRequest());
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->alarms_size(), 1);
  EXPECT_EQ(list->alarms(0).kind(), "fork");
  EXPECT_EQ(list->alarms(0).origin(), "rig-7");

  v1::ResolveAlarmRequest resolve;
  resolve.set_id(list->alarms(0).id());
  const auto resolved = edge_.Ask(&Stub::ResolveAlarm, resolve);
  ASSERT_TRUE(resolved.ok());
  EXPECT_TRUE(resolved->resolved());
  EXPECT_EQ(KindOf(edge_.Ask(&Stub::ResolveAlarm, resolve)), "unknown_alarm");
  EXPECT_EQ(edge_.Ask(&Stub::ListAlarms, v1::ListAlarmsRequest())->alarms_size(), 0);
  v1::ListAlarmsRequest all;
  all.set_all(true);
  EXPECT_EQ(edge_.Ask(&Stub::ListAlarms, all)->alarms_size(), 1);
}

TEST_F(EdgeAdminTest, ListsLossesWithTheirReasons) {
  ASSERT_TRUE(Create(Definition("temperature", v1::UP, 2)).ok());
  ASSERT_TRUE(Create(Definition("pressure", v1::UP)).ok());
  const std::shared_ptr<Log> log = edge_.node().logs().Find({"", Slot(0), "temperature", PartitionId(1)});
  const std::shared_ptr<Log> other = edge_.node().logs().Find({"", Slot(0), "pressure", PartitionId(0)});
  ASSERT_TRUE(AppendGapNow(*log, Offset(10), GapReason::kDroppedForSpace).ok());
  ASSERT_TRUE(AppendGapNow(*other, Offset(3), GapReason::kCorrupt).ok());

  EXPECT_EQ(edge_.Ask(&Stub::ListLosses, v1::ListLossesRequest())->losses_size(), 2);
  v1::ListLossesRequest request;
  request.set_stream("temperature");
  request.set_edge("rig-7");
  const auto losses = edge_.Ask(&Stub::ListLosses, request);
  ASSERT_TRUE(losses.ok());
  ASSERT_EQ(losses->losses_size(), 1);
  const v1::Loss& loss = losses->losses(0);
  EXPECT_EQ(loss.stream(), "temperature");
  EXPECT_EQ(loss.partition(), 1);
  EXPECT_EQ(loss.from(), 0);
  EXPECT_EQ(loss.to(), 10);
  EXPECT_EQ(loss.reason(), GapReasonName(GapReason::kDroppedForSpace));
  EXPECT_GT(loss.recorded_ms(), 0);
  request.set_edge("rig-8");
  EXPECT_EQ(edge_.Ask(&Stub::ListLosses, request)->losses_size(), 0);
}

}  // namespace
}  // namespace selvage::test
