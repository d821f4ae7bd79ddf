#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/kafka/protocol/api_versions.h"
#include "fabric/kafka/protocol/metadata.h"
#include "fabric/kafka/protocol/produce.h"
#include "fabric/stream/record_batch.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"
#include "tests/support/raw_kafka_client.h"
#include "tests/support/seeded_random.h"

/// What no Kafka client sends, at the ports of both daemons: the error that Kafka gives, or the end of that
/// connection. Everybody else goes on.
namespace selvage::test {
namespace {

using kafka::ErrorCode;
using testing::ElementsAre;

constexpr absl::Duration kSoon = absl::Seconds(20);
constexpr const char* kRefused = "selvage_kafka_refused_total";

/// A batch with these bits set in its attributes, and a CRC that is right.
std::string WithAttributes(std::string batch, uint16_t bits) {
  constexpr size_t kCrcAt = 17;
  constexpr size_t kAttributesAt = 21;
  StoreBig<uint16_t>(batch.data() + kAttributesAt,
                     static_cast<uint16_t>(LoadBig<uint16_t>(batch.data() + kAttributesAt) | bits));
  StoreBig<uint32_t>(batch.data() + kCrcAt, Crc32c(std::string_view(batch).substr(kAttributesAt)));
  return batch;
}

std::string WithBadCrc(std::string batch) {
  batch.back() ^= 1;
  return batch;
}

kafka::ProduceRequest ToProduce(const std::string& topic, const std::string& batch) {
  kafka::ProduceRequest request;
  request.acks = -1;
  request.topic_data.push_back({topic, {{0, Bytes(batch)}}});
  return request;
}

/// A core and an edge, each with the topic "t" of its own, and with a client that was connected before.
class KafkaBadInputTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(node(), Definition("t", v1::LOCAL)), IsOk());
    other_.emplace(node().kafka_port());
    ASSERT_NO_FATAL_FAILURE(ExpectUnharmed());
  }

  Daemon& node() { return GetParam() == std::string_view("core") ? cluster_.core() : cluster_.edge(); }

  kafka::ProduceResponse::Topic::Partition Answer(const kafka::ProduceRequest& request) {
    RawKafkaClient client(node().kafka_port());
    client.Ask(request, 9, 1);
    const auto response = client.ReceiveAs<kafka::ProduceResponse>(9);
    if (response.responses.empty() || response.responses[0].partition_responses.empty()) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    return response.responses[0].partition_responses[0];
  }

  /// It is answered with this code and a message, counted once under this kind, and stores nothing.
  void ExpectAnswered(const kafka::ProduceRequest& request, ErrorCode code, const std::string& kind) {
    const double counted = node().ErrorsCounted(kind);
    const auto answer = Answer(request);
    EXPECT_EQ(answer.error_code, code) << kind;
    EXPECT_FALSE(answer.error_message.value_or("").empty());
    EXPECT_EQ(node().ErrorsCounted(kind), counted + 1) << kind;
    ExpectUnharmed();
  }

  /// The connection ends without an answer, and that is counted once.
  void ExpectClosed(std::string_view bytes) {
    const double counted = node().Metric(kRefused);
    RawKafkaClient client(node().kafka_port());
    client.Send(bytes);
    EXPECT_TRUE(client.IsClosed());
    EXPECT_TRUE(Eventually(kSoon, [&] { return node().Metric(kRefused) == counted + 1; }));
    ExpectUnharmed();
  }

  /// The client that was there before writes its next record, over the same connection.
  void ExpectUnharmed() {
    other_->Ask(ToProduce("t", BatchOf({fmt::format("{}", written_)})), 9, 1);
    const auto response = other_->ReceiveAs<kafka::ProduceResponse>(9);
    ASSERT_EQ(response.responses.size(), 1u) << "the other connection was hurt";
    EXPECT_EQ(response.responses[0].partition_responses.at(0).error_code, ErrorCode::kNone);
    EXPECT_EQ(response.responses[0].partition_responses.at(0).base_offset, written_);
    ++written_;
    EXPECT_TRUE(node().running());
  }

  Cluster cluster_{
      {.edges = 1, .core = {{"kafka.auto_create", "false"}}, .edge = {{"kafka.auto_create", "false"}}}};
  std::optional<RawKafkaClient> other_;
  int64_t written_ = 0;
};

TEST_P(KafkaBadInputTest, WhatCannotBeReadEndsItsConnection) {
  using std::string_literals::operator""s;
  ExpectClosed("\x7f\xff\xff\xff\0\x12\0\0"s);                                // a request of 2 GiB
  ExpectClosed("\xff\xff\xff\xff\0\x12\0\0"s);                                // of a negative size
  ExpectClosed("\0\0\0\x0a\x7f\xff\0\0\0\0\0\x07\xff\xff"s);                  // of an API that nobody knows
  ExpectClosed("\0\0\0\x0a\0\x18\0\0\0\0\0\x07\xff\xff"s);                    // AddPartitionsToTxn
  ExpectClosed("\0\0\0\x0a\0\x03\0\x7f\0\0\0\x07\xff\xff"s);                  // Metadata of a version to come
  ExpectClosed("\0\0\0\x0e\0\x03\0\x01\0\0\0\x07\xff\xff\x7f\xff\xff\xff"s);  // an array of 2^31 - 1 topics
  ExpectClosed("GET /metrics HTTP/1.1\r\nHost: selvage\r\n\r\n");
}

TEST_P(KafkaBadInputTest, RandomBytesHurtNobody) {
  SeededRandom random(7);
  for (int i = 0; i < 200; ++i) {
    RawKafkaClient client(node().kafka_port());
    std::string bytes(random.Below(2000) + 16, '\0');
    random.Fill(bytes.data(), bytes.size());
    if (i % 2 == 0) {
      // A plausible beginning, so that it gets further than the size.
      StoreBig<int32_t>(bytes.data(), static_cast<int32_t>(bytes.size() - 4));
      StoreBig<int16_t>(bytes.data() + 4, static_cast<int16_t>(random.Below(61)));
      StoreBig<int16_t>(bytes.data() + 6, static_cast<int16_t>(random.Below(8)));
    }
    client.Send(bytes);
    if (i % 20 == 0) {
      ASSERT_NO_FATAL_FAILURE(ExpectUnharmed());
    }
  }
  ASSERT_NO_FATAL_FAILURE(ExpectUnharmed());
  EXPECT_GT(node().Metric(kRefused), 50);
}

TEST_P(KafkaBadInputTest, IncompleteRequestsHurtNobody) {
  // Each announces 16 MiB: more than requests may hold in memory together.
  std::vector<std::unique_ptr<RawKafkaClient>> incomplete;
  for (int i = 0; i < 6; ++i) {
    incomplete.push_back(std::make_unique<RawKafkaClient>(node().kafka_port()));
    incomplete.back()->Send(std::string("\0\xff\xff\xff\0\0\0\x09\0\0\0\x01", 12) +
                            std::string(100'000, 'x'));
  }
  ASSERT_NO_FATAL_FAILURE(ExpectUnharmed());
  // They hold memory for what arrived of them, so a large one finds room.
  const std::string large(700'000, 'x');
  EXPECT_EQ(Answer(ToProduce("t", BatchOf({large}))).base_offset, written_++);
  ASSERT_NO_FATAL_FAILURE(ExpectUnharmed());
  // And nobody had to give way for it.
  EXPECT_EQ(node().Metric(kRefused), 0);
}

TEST_P(KafkaBadInputTest, WhatKafkaAnswersWithAnErrorIsAnsweredAndCounted) {
  const std::string good = BatchOf({"good"});
  ExpectAnswered(ToProduce("t", WithBadCrc(good)), ErrorCode::kCorruptMessage, "corrupt_batch");
  ExpectAnswered(ToProduce("t", good.substr(0, good.size() - 3)), ErrorCode::kCorruptMessage,
                 "corrupt_batch");
  ExpectAnswered(ToProduce("t", WithAttributes(good, 0x20)), ErrorCode::kInvalidRecord, "invalid_record");
  ExpectAnswered(ToProduce("t", WithAttributes(good, 0x10)), ErrorCode::kInvalidRecord, "invalid_record");
  ExpectAnswered(ToProduce("t", BatchOf({std::string(1'100'000, 'x')})), ErrorCode::kMessageTooLarge,
                 "batch_too_large");
  ExpectAnswered(ToProduce("unknown", good), ErrorCode::kUnknownTopicOrPartition, "unknown_stream");

  const double counted = node().ErrorsCounted("unknown_stream");
  kafka::MetadataRequest asks;
  asks.topics.emplace().push_back({{}, "unknown"});
  RawKafkaClient client(node().kafka_port());
  client.Ask(asks, 9, 1);
  const auto told = client.ReceiveAs<kafka::MetadataResponse>(9);
  ASSERT_EQ(told.topics.size(), 1u);
  EXPECT_EQ(told.topics[0].error_code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(node().ErrorsCounted("unknown_stream"), counted + 1);
  ExpectUnharmed();

  // Of all that, only the good records are there.
  auto log = ReadLog(node(), At("t"));
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(log->records.size(), static_cast<size_t>(written_));
}

INSTANTIATE_TEST_SUITE_P(BothDaemons, KafkaBadInputTest, testing::Values("core", "edge"),
                         [](const auto& at) { return std::string(at.param); });

}  // namespace
}  // namespace selvage::test
