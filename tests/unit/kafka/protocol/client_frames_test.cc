// Requests as kcat 1.7.1 with librdkafka 2.0.2 sent them to a loopback socket that answered just enough: a
// producer, a consumer from the beginning, and a member of a group.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/kafka/protocol/api_versions.h"
#include "fabric/kafka/protocol/fetch.h"
#include "fabric/kafka/protocol/find_coordinator.h"
#include "fabric/kafka/protocol/heartbeat.h"
#include "fabric/kafka/protocol/init_producer_id.h"
#include "fabric/kafka/protocol/join_group.h"
#include "fabric/kafka/protocol/list_offsets.h"
#include "fabric/kafka/protocol/metadata.h"
#include "fabric/kafka/protocol/offset_fetch.h"
#include "fabric/kafka/protocol/produce.h"
#include "fabric/kafka/protocol/sync_group.h"
#include "tests/unit/kafka/protocol/frames.h"

namespace selvage::kafka::test {
namespace {

const char kProduceHex[] =
    "0000000700000003000772646b61666b61ffffffff000075300000000100017400000001000000000000004a0000"
    "0000000000000000003e0000000002e8f24ca8000000000000000001a2095e0a0a000001a2095e0a0affffffffff"
    "ffffffffffffffffff0000000118000000026b02760202680278";

const char kFetchHex[] =
    "0001000b00000005000772646b61666b61ffffffff000001f400000001032000000100000000ffffffff00000001"
    "0001740000000100000000ffffffff0000000000000000ffffffffffffffff00100000000000000000";

const char kListOffsetsHex[] =
    "0002000200000004000772646b61666b61ffffffff01000000010001740000000100000000fffffffffffffffe";

const char kMetadataHex[] = "0003000400000002000772646b61666b610000000100017401";

const char kOffsetFetchHex[] = "0009000700000007000772646b61666b610002670202740200000000000100";

const char kFindCoordinatorHex[] = "000a000200000003000772646b61666b6100016700";

const char kJoinGroupHex[] =
    "000b000500000003000772646b61666b610001670000afc8000493e000000001690008636f6e73756d6572000000"
    "02000572616e6765000000110001000000010001740000000000000000000a726f756e64726f62696e0000001100"
    "01000000010001740000000000000000";

const char kHeartbeatHex[] = "000c000300000006000772646b61666b610001670000000100036d2d31000169";

const char kSyncGroupHex[] =
    "000e000300000005000772646b61666b610001670000000100036d2d310001690000000100036d2d310000001500"
    "0000000001000174000000010000000000000000";

const char kApiVersionsHex[] = "0012000300000001000772646b61666b61000b6c696272646b61666b6106322e302e3200";

const char kInitProducerIdHex[] = "0016000400000003000772646b61666b610000ffffffffffffffffffffffffffff00";

/// Reads a whole request, and expects the same bytes when it is written again.
template <class Request>
Request FromClient(const char* hex, int16_t version) {
  Reader in{Bytes(FromHex(hex))};
  const auto header = DecodeRequestHeader(in);
  EXPECT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->api_key, static_cast<int16_t>(Request::kApi));
  EXPECT_EQ(header->api_version, version);
  EXPECT_EQ(header->client_id, "rdkafka");
  const auto request = Decode<Request>(in, version);
  EXPECT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(in.left(), 0u);
  const auto again = EncodeRequest(*header, *request);
  EXPECT_TRUE(again.ok());
  EXPECT_EQ(ToHex(Joined(*again).substr(4)), hex);
  return *request;
}

TEST(KafkaClientFramesTest, Produce) {
  const auto request = FromClient<ProduceRequest>(kProduceHex, 7);
  EXPECT_EQ(request.transactional_id, std::nullopt);
  EXPECT_EQ(request.acks, -1);
  EXPECT_EQ(request.timeout_ms, 30000);
  ASSERT_EQ(request.topic_data.size(), 1u);
  EXPECT_EQ(request.topic_data[0].name, "t");
  ASSERT_EQ(request.topic_data[0].partition_data.size(), 1u);
  EXPECT_EQ(request.topic_data[0].partition_data[0].index, 0);
  EXPECT_EQ(request.topic_data[0].partition_data[0].records->size(), 74u);
}

TEST(KafkaClientFramesTest, Fetch) {
  const auto request = FromClient<FetchRequest>(kFetchHex, 11);
  EXPECT_EQ(request.replica_id, -1);
  EXPECT_EQ(request.max_wait_ms, 500);
  EXPECT_EQ(request.min_bytes, 1);
  EXPECT_EQ(request.max_bytes, 50 << 20);
  EXPECT_EQ(request.isolation_level, 1);
  EXPECT_EQ(request.session_id, 0);
  EXPECT_EQ(request.session_epoch, -1);
  ASSERT_EQ(request.topics.size(), 1u);
  ASSERT_EQ(request.topics[0].partitions.size(), 1u);
  const auto& partition = request.topics[0].partitions[0];
  EXPECT_EQ(partition.current_leader_epoch, -1);
  EXPECT_EQ(partition.fetch_offset, 0);
  EXPECT_EQ(partition.log_start_offset, -1);
  EXPECT_EQ(partition.partition_max_bytes, 1 << 20);
}

TEST(KafkaClientFramesTest, ListOffsets) {
  const auto request = FromClient<ListOffsetsRequest>(kListOffsetsHex, 2);
  EXPECT_EQ(request.isolation_level, 1);
  EXPECT_EQ(request.topics.at(0).partitions.at(0).timestamp, -2);
}

TEST(KafkaClientFramesTest, Metadata) {
  const auto request = FromClient<MetadataRequest>(kMetadataHex, 4);
  ASSERT_TRUE(request.topics.has_value());
  EXPECT_EQ(request.topics->at(0).name, "t");
  EXPECT_TRUE(request.allow_auto_topic_creation);
}

TEST(KafkaClientFramesTest, OffsetFetch) {
  const auto request = FromClient<OffsetFetchRequest>(kOffsetFetchHex, 7);
  EXPECT_EQ(request.group_id, "g");
  EXPECT_EQ(request.topics->at(0).name, "t");
  EXPECT_THAT(request.topics->at(0).partition_indexes, ::testing::ElementsAre(0));
  EXPECT_TRUE(request.require_stable);
}

TEST(KafkaClientFramesTest, FindCoordinator) {
  const auto request = FromClient<FindCoordinatorRequest>(kFindCoordinatorHex, 2);
  EXPECT_EQ(request.key, "g");
  EXPECT_EQ(request.key_type, 0);
}

TEST(KafkaClientFramesTest, JoinGroup) {
  const auto request = FromClient<JoinGroupRequest>(kJoinGroupHex, 5);
  EXPECT_EQ(request.group_id, "g");
  EXPECT_EQ(request.session_timeout_ms, 45000);
  EXPECT_EQ(request.rebalance_timeout_ms, 300000);
  EXPECT_EQ(request.member_id, "");
  EXPECT_EQ(request.group_instance_id, "i");
  EXPECT_EQ(request.protocol_type, "consumer");
  ASSERT_EQ(request.protocols.size(), 2u);
  EXPECT_EQ(request.protocols[0].name, "range");
  EXPECT_EQ(ToHex(request.protocols[0].metadata),
            "0001"
            "00000001"
            "000174"
            "00000000"
            "00000000");
  EXPECT_EQ(request.protocols[1].name, "roundrobin");
}

TEST(KafkaClientFramesTest, Heartbeat) {
  const auto request = FromClient<HeartbeatRequest>(kHeartbeatHex, 3);
  EXPECT_EQ(request.generation_id, 1);
  EXPECT_EQ(request.member_id, "m-1");
  EXPECT_EQ(request.group_instance_id, "i");
}

TEST(KafkaClientFramesTest, SyncGroup) {
  const auto request = FromClient<SyncGroupRequest>(kSyncGroupHex, 3);
  EXPECT_EQ(request.generation_id, 1);
  ASSERT_EQ(request.assignments.size(), 1u);
  EXPECT_EQ(request.assignments[0].member_id, "m-1");
  EXPECT_EQ(request.assignments[0].assignment.size(), 21u);
}

TEST(KafkaClientFramesTest, ApiVersions) {
  const auto request = FromClient<ApiVersionsRequest>(kApiVersionsHex, 3);
  EXPECT_EQ(request.client_software_name, "librdkafka");
  EXPECT_EQ(request.client_software_version, "2.0.2");
}

TEST(KafkaClientFramesTest, InitProducerId) {
  const auto request = FromClient<InitProducerIdRequest>(kInitProducerIdHex, 4);
  EXPECT_EQ(request.transactional_id, std::nullopt);
  EXPECT_EQ(request.transaction_timeout_ms, -1);
  EXPECT_EQ(request.producer_id, -1);
  EXPECT_EQ(request.producer_epoch, -1);
}

}  // namespace
}  // namespace selvage::kafka::test
