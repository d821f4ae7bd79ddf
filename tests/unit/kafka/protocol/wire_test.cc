#include "fabric/kafka/protocol/wire.h"

#include "fabric/base/error.h"
#include "fabric/kafka/protocol/create_topics.h"
#include "fabric/kafka/protocol/fetch.h"
#include "fabric/kafka/protocol/join_group.h"
#include "fabric/kafka/protocol/metadata.h"
#include "fabric/kafka/protocol/produce.h"
#include "tests/unit/kafka/protocol/frames.h"

namespace selvage::kafka::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(KafkaWireTest, VarintsOfUpTo32Bits) {
  for (const auto& [hex, value] : {std::pair<const char*, uint32_t>{"00", 0},
                                   {"7f", 127},
                                   {"8001", 128},
                                   {"ac02", 300},
                                   {"ffffffff0f", 0xffffffff}}) {
    Reader in{Bytes(FromHex(hex))};
    EXPECT_EQ(in.Varint(), value);
    EXPECT_TRUE(in.ok());
    EXPECT_EQ(in.left(), 0u);
    Writer out;
    out.Varint(value);
    const auto segments = std::move(out).Finish();
    ASSERT_TRUE(segments.ok());
    EXPECT_EQ(ToHex(Joined(*segments).substr(4)), hex);
  }
  for (const char* hex : {"ffffffff10", "808080808001", "80", ""}) {
    Reader in{Bytes(FromHex(hex))};
    EXPECT_EQ(in.Varint(), 0u);
    EXPECT_FALSE(in.ok()) << hex;
  }
}

TEST(KafkaWireTest, TheFirstFaultIsKept) {
  Reader in{Bytes(FromHex("000102"))};
  in.Name("first");
  EXPECT_EQ(in.Int<int16_t>(), 1);
  in.Name("second");
  EXPECT_EQ(in.Int<int32_t>(), 0);
  EXPECT_EQ(in.left(), 0u);
  in.Name("third");
  EXPECT_EQ(in.Int<int8_t>(), 0);
  EXPECT_TRUE(in.Take(0).empty());
  in.Fail("another");
  const absl::Status status = in.Finish("malformed_request", "test");
  EXPECT_EQ(ErrorKind(status), "malformed_request");
  EXPECT_EQ(status.message(), "test: field 'second' at byte 2 of 3: the message ends before it");
}

TEST(KafkaWireTest, FramesAreSegmentsInOrderWithTheirSizeInFront) {
  const Bytes large(std::string(1000, 'x'));
  const Bytes small(std::string(10, 'y'));
  Writer out;
  out.Int<int16_t>(7);
  out.Splice(large);
  out.Splice(small);
  out.Splice(large);
  out.Splice(Bytes());
  out.Int<int8_t>(1);
  const auto segments = std::move(out).Finish();
  ASSERT_TRUE(segments.ok());
  ASSERT_EQ(segments->size(), 5u);
  EXPECT_EQ(ToHex((*segments)[0].view()), "000007dd0007");
  EXPECT_EQ((*segments)[1].data(), large.data());
  EXPECT_EQ((*segments)[2].view(), small.view());
  EXPECT_EQ((*segments)[3].data(), large.data());
  EXPECT_EQ(ToHex((*segments)[4].view()), "01");
}

TEST(KafkaWireTest, AFrameThatEndsInARunOfOthersHasNoEmptySegment) {
  const Bytes large(std::string(1000, 'x'));
  Writer out;
  out.Splice(large);
  const auto segments = std::move(out).Finish();
  ASSERT_TRUE(segments.ok());
  EXPECT_EQ(segments->size(), 2u);
}

TEST(KafkaWireTest, FramesAbove2GiBAreRefused) {
  const Bytes large(std::string(size_t{1} << 20, 'x'));
  Writer out;
  for (int i = 0; i < 2048; ++i) out.Splice(large);
  EXPECT_EQ(ErrorKind(std::move(out).Finish().status()), "unencodable_message");
}

TEST(KafkaWireTest, StringsThatAreTooLongAreRefusedBothWays) {
  for (const int16_t version : {int16_t{4}, int16_t{5}}) {
    CreateTopicsRequest request;
    request.topics.resize(1);
    request.topics[0].name = std::string(kStringMax, 'n');
    EXPECT_TRUE(*FromBody<CreateTopicsRequest>(BodyOf(request, version), version) == request);
    request.topics[0].name += 'n';
    Writer out;
    Encode(request, version, out);
    const absl::Status status = std::move(out).Finish().status();
    EXPECT_EQ(ErrorKind(status), "unencodable_message");
    EXPECT_THAT(std::string(status.message()), HasSubstr("'name'"));
  }
  // One topic with a name of 32,768 bytes in compact form: its length field could hold more.
  const auto decoded = FromBody<CreateTopicsRequest>(FromHex("02818002") + std::string(40000, 'n'), 5);
  EXPECT_THAT(std::string(decoded.status().message()), HasSubstr("more than 32,767 bytes"));
}

TEST(KafkaWireTest, RecordsThatAreReadShareTheFrame) {
  ProduceRequest request;
  request.topic_data.resize(1);
  request.topic_data[0].partition_data.resize(1);
  request.topic_data[0].partition_data[0].records = Bytes(std::string(5000, 'r'));
  for (const int16_t version : {int16_t{3}, int16_t{9}}) {
    const Bytes frame(BodyOf(request, version));
    Reader in(frame);
    const auto decoded = Decode<ProduceRequest>(in, version);
    ASSERT_TRUE(decoded.ok());
    const Bytes& records = *decoded->topic_data[0].partition_data[0].records;
    EXPECT_EQ(records.view(), std::string(5000, 'r'));
    EXPECT_GE(records.data(), frame.data());
    EXPECT_LE(records.data() + records.size(), frame.data() + frame.size());
    EXPECT_EQ(records.owner(), frame.owner());
  }
}

TEST(KafkaWireTest, NullAndEmptyRecordsAreToldApart) {
  for (const int16_t version : {int16_t{3}, int16_t{9}}) {
    ProduceRequest request;
    request.topic_data.resize(1);
    request.topic_data[0].partition_data.resize(2);
    request.topic_data[0].partition_data[1].records = Bytes();
    const auto decoded = FromBody<ProduceRequest>(BodyOf(request, version), version);
    ASSERT_TRUE(decoded.ok());
    EXPECT_FALSE(decoded->topic_data[0].partition_data[0].records.has_value());
    EXPECT_TRUE(decoded->topic_data[0].partition_data[1].records.has_value());
  }
}

TEST(KafkaWireTest, FetchedBatchesAreSplicedOneAfterAnother) {
  const Bytes first(std::string(700, 'a'));
  const Bytes second(std::string(800, 'b'));
  FetchResponse response;
  response.responses.resize(1);
  response.responses[0].partitions.resize(2);
  response.responses[0].partitions[0].records = {first, second};
  for (const int16_t version : {int16_t{4}, int16_t{12}}) {
    const auto frame = EncodeResponse(version, 1, response);
    ASSERT_TRUE(frame.ok());
    ASSERT_EQ(frame->size(), 4u);
    EXPECT_EQ((*frame)[1].data(), first.data());
    EXPECT_EQ((*frame)[2].data(), second.data());

    Reader in{Bytes(Joined(*frame).substr(4))};
    ASSERT_TRUE(DecodeResponseHeader(ApiKey::kFetch, version, in).ok());
    const auto decoded = Decode<FetchResponse>(in, version);
    ASSERT_TRUE(decoded.ok());
    EXPECT_THAT(decoded->responses[0].partitions[0].records,
                ElementsAre(Bytes(std::string(700, 'a') + std::string(800, 'b'))));
    EXPECT_TRUE(decoded->responses[0].partitions[1].records.empty());
  }
}

// librdkafka fails on null.
TEST(KafkaWireTest, AFetchResponseWithoutRecordsHasZeroLength) {
  FetchResponse response;
  response.responses.resize(1);
  response.responses[0].partitions.resize(1);
  EXPECT_THAT(ToHex(BodyOf(response, 4)), ::testing::EndsWith("ffffffff"
                                                              "00000000"));
  EXPECT_THAT(ToHex(BodyOf(response, 12)), ::testing::EndsWith("00"
                                                               "ffffffff"
                                                               "01"
                                                               "000000"));
}

TEST(KafkaWireTest, NullIsRefusedAndNotWrittenWhereAVersionHasNone) {
  EXPECT_EQ(ErrorKind(FromBody<MetadataRequest>(FromHex("ffffffff"), 0).status()), "malformed_request");
  EXPECT_FALSE(FromBody<MetadataRequest>(FromHex("ffffffff"), 1)->topics.has_value());
  EXPECT_EQ(ToHex(BodyOf(MetadataRequest(), 0)), "00000000");

  JoinGroupResponse response;
  EXPECT_THAT(ToHex(BodyOf(response, 6)), ::testing::StartsWith("00000000"
                                                                "0000"
                                                                "ffffffff"
                                                                "01"));
  EXPECT_THAT(ToHex(BodyOf(response, 7)), ::testing::StartsWith("00000000"
                                                                "0000"
                                                                "ffffffff"
                                                                "00"
                                                                "00"));
  const auto decoded = FromBody<JoinGroupResponse>(FromHex("000000000000ffffffff000101010100"), 6);
  EXPECT_THAT(std::string(decoded.status().message()),
              HasSubstr("JoinGroup response version 6: field 'protocol_name' at byte 11"));
}

TEST(KafkaWireTest, NegativeLengthsAreRefused) {
  EXPECT_EQ(ErrorKind(FromBody<MetadataRequest>(FromHex("fffffffe"), 1).status()), "malformed_request");
  EXPECT_EQ(ErrorKind(FromBody<MetadataRequest>(FromHex("00000001fffe"), 1).status()), "malformed_request");
}

// A Fetch request of version 12: the parts before its tagged fields.
const char kFetchStart[] =
    "ffffffff"          // replica -1
    "000001f4"          // at most 500 ms
    "00000001"          // at least 1 byte
    "03200000"          // at most 50 MiB
    "00"                // isolation level
    "00000000"          // session id
    "ffffffff"          // session epoch -1
    "02"                // 1 topic
    "0274"              // "t"
    "02"                // 1 partition
    "00000003"          // partition 3
    "00000000"          // leader epoch 0
    "0000000000000064"  // offset 100
    "ffffffff"          // last fetched epoch -1
    "ffffffffffffffff"  // log start -1
    "00100000"          // at most 1 MiB
    "01"
    "05"
    "02"
    "abcd"  // tag 5, which is not known, of 2 bytes
    "00"    // no tagged fields of the topic
    "01"    // no forgotten topics
    "01";   // no rack

TEST(KafkaTaggedFieldsTest, KnownOnesAreReadAndOthersSkipped) {
  const auto request = FromBody<FetchRequest>(FromHex(std::string(kFetchStart) + "02"
                                                                                 "00"
                                                                                 "04"
                                                                                 "03"
                                                                                 "6162"
                                                                                 "00"
                                                                                 "8001"
                                                                                 "01"
                                                                                 "ff"),
                                              12);
  EXPECT_EQ(ErrorKind(request.status()), "malformed_request")
      << "the tagged cluster id is shorter than its field";

  const auto good = FromBody<FetchRequest>(FromHex(std::string(kFetchStart) + "02"
                                                                              "00"
                                                                              "03"
                                                                              "03"
                                                                              "6162"
                                                                              "8001"
                                                                              "01"
                                                                              "ff"),
                                           12);
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->cluster_id, "ab");
  EXPECT_EQ(good->topics[0].partitions[0].fetch_offset, 100);
  // What is not known is not kept.
  EXPECT_THAT(ToHex(BodyOf(*good, 12)), ::testing::EndsWith("0101"
                                                            "01"
                                                            "00"
                                                            "03"
                                                            "03"
                                                            "6162"));
}

TEST(KafkaTaggedFieldsTest, TagsMustAscend) {
  for (const char* tags : {"02"
                           "8001"
                           "01"
                           "ff"
                           "00"
                           "03"
                           "03"
                           "6162",
                           "02"
                           "00"
                           "03"
                           "03"
                           "6162"
                           "00"
                           "03"
                           "03"
                           "6162",
                           "02"
                           "07"
                           "00"
                           "07"
                           "00",
                           "02"
                           "07"
                           "00"
                           "06"
                           "00"}) {
    const auto request = FromBody<FetchRequest>(FromHex(std::string(kFetchStart) + tags), 12);
    EXPECT_THAT(std::string(request.status().message()), HasSubstr("the tags do not ascend")) << tags;
  }
}

TEST(KafkaTaggedFieldsTest, ATaggedFieldMustNotReachBeyondItsSize) {
  // The string says 3 bytes and its field has 2.
  const auto request = FromBody<FetchRequest>(FromHex(std::string(kFetchStart) + "01"
                                                                                 "00"
                                                                                 "03"
                                                                                 "04"
                                                                                 "616263"),
                                              12);
  EXPECT_THAT(std::string(request.status().message()), HasSubstr("field 'cluster_id'"));
  const auto huge = FromBody<FetchRequest>(FromHex(std::string(kFetchStart) + "01"
                                                                              "00"
                                                                              "ffffffff0f"
                                                                              "03"),
                                           12);
  EXPECT_EQ(ErrorKind(huge.status()), "malformed_request");
  const auto many = FromBody<FetchRequest>(FromHex(std::string(kFetchStart) + "ffffffff0f"
                                                                              "07"
                                                                              "00"),
                                           12);
  EXPECT_EQ(ErrorKind(many.status()), "malformed_request");
}

TEST(KafkaTaggedFieldsTest, OnlyWhatDiffersFromItsDefaultIsWritten) {
  FetchRequest request;
  request.replica_state.replica_epoch = 5;
  EXPECT_THAT(ToHex(BodyOf(request, 15)), ::testing::EndsWith("01"
                                                              "01"
                                                              "0d"
                                                              "ffffffff"
                                                              "0000000000000005"
                                                              "00"));
  request.cluster_id = "c";
  EXPECT_THAT(ToHex(BodyOf(request, 15)), ::testing::EndsWith("02"
                                                              "00"
                                                              "02"
                                                              "0263"
                                                              "01"
                                                              "0d"
                                                              "ffffffff"
                                                              "0000000000000005"
                                                              "00"));
  EXPECT_THAT(ToHex(BodyOf(FetchRequest(), 15)), ::testing::EndsWith("00"));
}

}  // namespace
}  // namespace selvage::kafka::test
