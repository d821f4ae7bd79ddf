#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;

/// A core with two edges, of which both wrote to an up stream, and streams of the other directions.
class CoreLogsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto& definition : {Definition("sensors", v1::UP, 2), Definition("commands", v1::DOWN, 2),
                                   Definition("rules", v1::DOWN_SHARED), Definition("notes", v1::LOCAL)}) {
      ASSERT_TRUE(core_.fleet().streams.Create(definition).ok());
    }
    rig_7_ = core_.Join("rig-7");
    rig_8_ = core_.Join("rig-8");
    ASSERT_NE(rig_7_.slot, rig_8_.slot);
    core_.Replicate(rig_7_, Definition("sensors", v1::UP, 2), 1, {Batch({"seven"})});
    core_.Replicate(rig_8_, Definition("sensors", v1::UP, 2), 1, {Batch({"eight", "more"})});
  }
  int32_t TopicPartition(const Admission& edge, int32_t p) {
    return static_cast<int32_t>(edge.slot.value()) * 2 + p;
  }
  std::string FirstValue(const v1::LogAddress& address) {
    const auto page = core_.Fetch(address, 0);
    if (!page.ok()) return ErrorKind(page.status());
    return page->entries_size() == 0 ? "" : DecodeRecords(page->entries(0).batch())->front().value.value();
  }

  CoreNode core_;
  Admission rig_7_, rig_8_;
};

TEST_F(CoreLogsTest, AReplicaIsReadByOriginAndByTopicPartition) {
  EXPECT_EQ(FirstValue(Address("sensors", 1, "rig-7")), "seven");
  EXPECT_EQ(FirstValue(Address("sensors", 1, "rig-8")), "eight");
  EXPECT_EQ(FirstValue(Address("sensors", TopicPartition(rig_7_, 1))), "seven");
  EXPECT_EQ(FirstValue(Address("sensors", TopicPartition(rig_8_, 1))), "eight");
}

TEST_F(CoreLogsTest, ReplicasThatAreNotThere) {
  EXPECT_EQ(FirstValue(Address("sensors", 0, "rig-7")), "not_replicated_yet");
  EXPECT_EQ(FirstValue(Address("sensors", TopicPartition(rig_7_, 0))), "not_replicated_yet");
  EXPECT_EQ(FirstValue(Address("sensors", 2, "rig-7")), "wrong_partition");
  EXPECT_EQ(FirstValue(Address("sensors", -1, "rig-7")), "wrong_partition");
  EXPECT_EQ(FirstValue(Address("sensors", 4000)), "wrong_partition");
  EXPECT_EQ(FirstValue(Address("sensors", -1)), "wrong_partition");
  EXPECT_EQ(FirstValue(Address("sensors", 0, "rig-9")), "unknown_edge");
  EXPECT_EQ(FirstValue(Address("humidity")), "unknown_stream");
}

TEST_F(CoreLogsTest, AReplicaIsNotWrittenHere) {
  for (const auto& address :
       {Address("sensors", 1, "rig-7"), Address("sensors", 1), Address("sensors", 99, "x")}) {
    const auto refused = core_.Produce(address, Batch({"x"}));
    EXPECT_EQ(KindOf(refused), "read_only_replica");
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr("each edge"));
  }
  EXPECT_EQ(core_.Fetch(Address("sensors", 1, "rig-7"), 0)->high_watermark(), 1);
}

TEST_F(CoreLogsTest, AnAddressedStreamIsWrittenForOneEdge) {
  const auto produced = core_.Produce(Address("commands", 1, "rig-7"), Batch({"open"}));
  ASSERT_TRUE(produced.ok()) << produced.status();
  EXPECT_EQ(produced->base_offset(), 0);
  EXPECT_EQ(FirstValue(Address("commands", 1, "rig-7")), "open");
  EXPECT_EQ(FirstValue(Address("commands", 1, "rig-8")), "") << "nothing for the other edge";

  const auto without_edge = core_.Produce(Address("commands"), Batch({"open"}));
  EXPECT_EQ(KindOf(without_edge), "edge_needed");
  EXPECT_THAT(ErrorHint(without_edge.status()), HasSubstr("--edge"));
  EXPECT_EQ(FirstValue(Address("commands")), "edge_needed");
  EXPECT_EQ(KindOf(core_.Produce(Address("commands", 2, "rig-7"), Batch({"x"}))), "wrong_partition");
  EXPECT_EQ(KindOf(core_.Produce(Address("commands", 0, "rig-9"), Batch({"x"}))), "unknown_edge");
}

TEST_F(CoreLogsTest, NothingIsWrittenForARetiredEdge) {
  ASSERT_TRUE(core_.Produce(Address("commands", 0, "rig-7"), Batch({"open"})).ok());
  v1::RetireEdgeRequest retire;
  retire.set_edge("rig-7");
  ASSERT_TRUE(core_.Ask(&Stub::RetireEdge, retire).ok());
  EXPECT_EQ(KindOf(core_.Produce(Address("commands", 0, "rig-7"), Batch({"x"}))), "edge_retired");
  EXPECT_EQ(FirstValue(Address("commands", 0, "rig-7")), "open");
}

TEST_F(CoreLogsTest, SharedAndLocalStreamsAreWrittenWithoutAnEdge) {
  EXPECT_TRUE(core_.Produce(Address("rules"), Batch({"rule"})).ok());
  EXPECT_TRUE(core_.Produce(Address("notes"), Batch({"note"})).ok());
  EXPECT_EQ(FirstValue(Address("rules")), "rule");
  EXPECT_EQ(FirstValue(Address("notes")), "note");
  EXPECT_EQ(KindOf(core_.Produce(Address("rules", 0, "rig-7"), Batch({"x"}))), "not_per_edge");
  EXPECT_EQ(KindOf(core_.Produce(Address("rules", 1), Batch({"x"}))), "wrong_partition");
}

TEST_F(CoreLogsTest, DescribeTellsWhichTopicPartitionIsWhose) {
  v1::DescribeStreamRequest request;
  request.set_stream("sensors");
  const auto described = core_.Ask(&Stub::DescribeStream, request);
  ASSERT_TRUE(described.ok());
  ASSERT_EQ(described->logs_size(), 2);
  EXPECT_EQ(described->logs(0).edge(), "rig-7");
  EXPECT_EQ(described->logs(0).partition(), 1);
  EXPECT_EQ(described->logs(0).topic_partition(), TopicPartition(rig_7_, 1));
  EXPECT_EQ(described->logs(1).edge(), "rig-8");
  EXPECT_EQ(described->logs(1).slot(), rig_8_.slot.value());
  EXPECT_EQ(described->logs(1).topic_partition(), TopicPartition(rig_8_, 1));
  EXPECT_EQ(described->logs(1).end(), 2);
}

TEST_F(CoreLogsTest, ListsOrigins) {
  ASSERT_TRUE(core_.Produce(Address("commands", 0, "rig-7"), Batch({"open"})).ok());
  EXPECT_EQ(core_.Ask(&Stub::ListOrigins, v1::ListOriginsRequest())->origins_size(), 4)
      << "two replicas and two logs of rig-7's commands; nothing of the core's own";
  v1::ListOriginsRequest request;
  request.set_stream("sensors");
  request.set_edge("rig-8");
  const auto origins = core_.Ask(&Stub::ListOrigins, request);
  ASSERT_EQ(origins->origins_size(), 1);
  EXPECT_EQ(origins->origins(0).edge(), "rig-8");
  request.set_stream("humidity");
  EXPECT_EQ(KindOf(core_.Ask(&Stub::ListOrigins, request)), "unknown_stream");
}

TEST_F(CoreLogsTest, DeletingAnUpStreamDeletesItsReplicas) {
  v1::DeleteStreamRequest request;
  request.set_stream("sensors");
  const auto deleted = core_.Ask(&Stub::DeleteStream, request);
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->logs(), 2);
  EXPECT_EQ(FirstValue(Address("sensors", 1, "rig-7")), "unknown_stream");
  EXPECT_EQ(KindOf(core_.Ask(&Stub::DeleteStream, request)), "unknown_stream");
}

}  // namespace
}  // namespace selvage::test
