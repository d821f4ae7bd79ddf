#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/kafka/protocol/delete_records.h"
#include "fabric/kafka/protocol/fetch.h"
#include "fabric/kafka/protocol/list_offsets.h"
#include "fabric/kafka/protocol/offset_for_leader_epoch.h"
#include "fabric/kafka/protocol/produce.h"
#include "fabric/stream/embedded_log.h"
#include "fabric/stream/record_format.h"
#include "tests/support/eventually.h"
#include "tests/unit/kafka/handlers/handler_world.h"

namespace selvage::kafka::test {
namespace {

using testing::ElementsAre;

class RecordsTest : public testing::Test {
 protected:
  RecordsTest() { world_.MakeTopic("t", 2); }

  static ProduceRequest ToProduce(const std::string& topic, int32_t partition,
                                  std::optional<std::string> batch) {
    ProduceRequest request;
    request.acks = -1;
    std::optional<Bytes> records;
    if (batch) records = Bytes(*std::move(batch));
    request.topic_data.push_back({topic, {{partition, std::move(records)}}});
    return request;
  }
  /// A batch of one record of an idempotent producer.
  static std::string Numbered(int32_t sequence, int16_t epoch = 0) {
    std::string batch = BatchOf({std::to_string(sequence)});
    StoreBig<int64_t>(batch.data() + record_format::kProducerIdAt, 7);
    StoreBig<int16_t>(batch.data() + record_format::kProducerEpochAt, epoch);
    StoreBig<int32_t>(batch.data() + record_format::kBaseSequenceAt, sequence);
    StoreBig<uint32_t>(batch.data() + record_format::kCrcAt,
                       Crc32c(std::string_view(batch).substr(record_format::kAttributesAt)));
    return batch;
  }
  ProduceResponse::Topic::Partition Produce(const ProduceRequest& request) {
    return world_.Ask<ProduceResponse>(request).responses.at(0).partition_responses.at(0);
  }
  ErrorCode Refusal(const ProduceRequest& request) { return Produce(request).error_code; }

  static FetchRequest ToFetch(int64_t offset, int32_t max_wait_ms = 0, int32_t partition = 0) {
    FetchRequest request;
    request.max_wait_ms = max_wait_ms;
    request.min_bytes = 1;
    FetchRequest::Topic::Partition asked;
    asked.partition = partition;
    asked.fetch_offset = offset;
    asked.partition_max_bytes = 1 << 20;
    request.topics.push_back({"t", {}, {asked}});
    return request;
  }
  void AppendGap(Offset to) {
    std::promise<void> done;
    ASSERT_TRUE(
        world_.LogOf("t").AppendGap(to, GapReason::kCorrupt, [&](const auto&) { done.set_value(); }).ok());
    done.get_future().wait();
  }
  FetchResponse::Topic::Partition Fetch(const FetchRequest& request) {
    return world_.Ask<FetchResponse>(request).responses.at(0).partitions.at(0);
  }
  static std::vector<std::string> ValuesOf(const FetchResponse::Topic::Partition& row) {
    std::vector<std::string> values;
    for (const Bytes& batches : row.records) {
      for (std::string_view left = batches.view(); !left.empty();) {
        const size_t size = static_cast<size_t>(LoadBig<int32_t>(left.data() + 8)) + kBatchLogOverhead;
        const std::vector<Record> records = DecodeRecords(left.substr(0, size)).value();
        for (const Record& record : records) {
          values.push_back(record.value.value_or("null"));
        }
        left.remove_prefix(size);
      }
    }
    return values;
  }

  ListOffsetsResponse::Topic::Partition OffsetAt(int64_t timestamp) {
    ListOffsetsRequest request;
    request.topics.push_back({"t", {{0, -1, timestamp}}});
    return world_.Ask<ListOffsetsResponse>(request).topics.at(0).partitions.at(0);
  }
  DeleteRecordsResponse::Topic::Partition Trim(const std::string& topic, int64_t offset) {
    DeleteRecordsRequest request;
    request.topics.push_back({topic, {{0, offset}}});
    return world_.Ask<DeleteRecordsResponse>(request).topics.at(0).partitions.at(0);
  }
  OffsetForLeaderEpochResponse::Topic::Partition EpochEnd(int32_t epoch, int32_t current = -1) {
    OffsetForLeaderEpochRequest request;
    request.topics.push_back({"t", {{0, current, epoch}}});
    return world_.Ask<OffsetForLeaderEpochResponse>(request).topics.at(0).partitions.at(0);
  }

  HandlerWorld world_;
};

TEST_F(RecordsTest, WhatIsProducedIsFetched) {
  EXPECT_EQ(world_.Write("t", {"a", "b"}), 0);
  EXPECT_EQ(world_.Write("t", {"c"}), 2);
  const auto row = Fetch(ToFetch(0));
  EXPECT_THAT(ValuesOf(row), ElementsAre("a", "b", "c"));
  EXPECT_EQ(row.high_watermark, 3);
  EXPECT_EQ(row.last_stable_offset, 3);
  EXPECT_EQ(row.log_start_offset, 0);
  EXPECT_THAT(ValuesOf(Fetch(ToFetch(1))), ElementsAre("a", "b", "c")) << "the batch with the offset, whole";
  EXPECT_THAT(ValuesOf(Fetch(ToFetch(2))), ElementsAre("c"));
  EXPECT_TRUE(Fetch(ToFetch(3)).records.empty());
}

TEST_F(RecordsTest, WhatIsBeforeDamageIsFetchedAndThenTheErrorIs) {
  for (const char* value : {"a", "b", "c", "d"}) world_.Write("t", {value});
  world_.Damage("t", Offset(2));
  const auto before = Fetch(ToFetch(0));
  EXPECT_EQ(before.error_code, ErrorCode::kNone) << "clients drop the records of a row with an error";
  EXPECT_THAT(ValuesOf(before), ElementsAre("a", "b"));
  const auto damaged = Fetch(ToFetch(2));
  EXPECT_EQ(damaged.error_code, ErrorCode::kKafkaStorageError);
  EXPECT_TRUE(damaged.records.empty());
  EXPECT_THAT(ValuesOf(Fetch(ToFetch(3))), ElementsAre("d"));
}

TEST_F(RecordsTest, EveryVersionOfProduceAndFetch) {
  for (int16_t version = 3; version <= 11; ++version) {
    const auto response =
        world_.Ask<ProduceResponse>(ToProduce("t", 1, BatchOf({std::to_string(version)})), version);
    EXPECT_EQ(response.responses.at(0).partition_responses.at(0).base_offset, version - 3);
  }
  for (int16_t version = 4; version <= 12; ++version) {
    const auto response = world_.Ask<FetchResponse>(ToFetch(8, 0, 1), version);
    EXPECT_THAT(ValuesOf(response.responses.at(0).partitions.at(0)), ElementsAre("11"));
  }
}

TEST_F(RecordsTest, ProduceRefusesWhatKafkaRefuses) {
  std::string bad_crc = BatchOf({"a"});
  bad_crc.back() ^= 1;
  EXPECT_EQ(Refusal(ToProduce("t", 0, bad_crc)), ErrorCode::kCorruptMessage);
  EXPECT_EQ(Refusal(ToProduce("t", 0, std::nullopt)), ErrorCode::kInvalidRecord);
  EXPECT_EQ(Refusal(ToProduce("t", 0, "")), ErrorCode::kInvalidRecord);
  EXPECT_EQ(Refusal(ToProduce("t", 0, BatchOf({"a"}) + BatchOf({"b"}))), ErrorCode::kInvalidRecord)
      << "one batch for each partition";
  EXPECT_EQ(Refusal(ToProduce("t", 0, BatchOf({std::string(2'000'000, 'x')}))), ErrorCode::kMessageTooLarge);
  EXPECT_EQ(Refusal(ToProduce("none", 0, BatchOf({"a"}))), ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(Refusal(ToProduce("t", 2, BatchOf({"a"}))), ErrorCode::kUnknownTopicOrPartition);
  ProduceRequest acks = ToProduce("t", 0, BatchOf({"a"}));
  acks.acks = 2;
  EXPECT_EQ(Refusal(acks), ErrorCode::kInvalidRequiredAcks);
  ProduceRequest transaction = ToProduce("t", 0, BatchOf({"a"}));
  transaction.transactional_id = "tx";
  EXPECT_EQ(Refusal(transaction), ErrorCode::kTransactionalIdAuthorizationFailed);
  EXPECT_EQ(world_.LogOf("t").state().end, Offset(0)) << "nothing of it was stored";
  EXPECT_EQ(world_.Write("t", {"good"}), 0);
  for (const char* counted :
       {"corrupt_batch\"} 1", "invalid_record\"} 3", "batch_too_large\"} 1", "unknown_stream\"} 1",
        "wrong_partition\"} 1", "invalid_acks\"} 1", "transactions_unsupported\"} 1"}) {
    EXPECT_THAT(world_.metrics().Text(),
                testing::HasSubstr(fmt::format("selvage_errors_total{{kind=\"{}\n", counted)));
  }
}

// OUT_OF_ORDER_SEQUENCE_NUMBER would make kafka-python give up what follows, and librdkafka begin anew.
TEST(ProduceUnderLoad, WhileTheQueueIsFullProducersAreInLine) {
  constexpr size_t kProducers = 20;
  // One batch is being written, one waits.
  HandlerWorld world(HandlerWorld::DefaultSettings(), {.group_bytes_max = 2000, .queue_bytes_max = 2000});
  world.MakeTopic("t");
  world.HoldWrites(true);
  std::vector<std::future<int64_t>> offsets;
  for (size_t i = 0; i < kProducers; ++i) {
    offsets.push_back(
        std::async(std::launch::async, [&] { return world.Write("t", {std::string(1000, 'x')}); }));
  }
  EXPECT_TRUE(selvage::test::Eventually(
      absl::Seconds(20), [&] { return world.node().committer().waiting_for_room() == kProducers - 2; }));
  world.HoldWrites(false);
  std::vector<int64_t> written;
  for (auto& offset : offsets) written.push_back(offset.get());
  std::sort(written.begin(), written.end());
  for (size_t i = 0; i < kProducers; ++i) EXPECT_EQ(written[i], static_cast<int64_t>(i));
  EXPECT_FALSE(world.node().committer().has_line());
}

TEST_F(RecordsTest, WhatFollowsARefusedBatchIsToComeAgainAsThatIs) {
  world_.node().budget().Measured(0, 10);
  const auto full = Produce(ToProduce("t", 0, Numbered(0)));
  EXPECT_EQ(full.error_code, ErrorCode::kKafkaStorageError);
  EXPECT_EQ(full.log_start_offset, 0);
  world_.node().budget().Measured(0, 1 << 30);
  for (int32_t sequence : {1, 2, 3}) {
    EXPECT_EQ(Refusal(ToProduce("t", 0, Numbered(sequence))), ErrorCode::kKafkaStorageError) << sequence;
  }
  for (int32_t sequence : {0, 1, 2, 3}) {
    const auto taken = Produce(ToProduce("t", 0, Numbered(sequence)));
    EXPECT_EQ(taken.error_code, ErrorCode::kNone) << sequence;
    EXPECT_EQ(taken.base_offset, sequence);
  }
  EXPECT_EQ(Refusal(ToProduce("t", 0, Numbered(9))), ErrorCode::kOutOfOrderSequenceNumber)
      << "nothing is awaited";
  EXPECT_THAT(world_.metrics().Text(),
              testing::HasSubstr("selvage_errors_total{kind=\"earlier_batch_refused\"} 3\n"));
}

TEST_F(RecordsTest, WhatFollowsABatchThatCameBeforeItsTopicIsToComeAgainToo) {
  EXPECT_EQ(Refusal(ToProduce("new", 0, Numbered(0))), ErrorCode::kUnknownTopicOrPartition);
  world_.MakeTopic("new", 1);
  EXPECT_EQ(Refusal(ToProduce("new", 0, Numbered(1))), ErrorCode::kKafkaStorageError);
  EXPECT_EQ(Refusal(ToProduce("new", 0, Numbered(0))), ErrorCode::kNone);
  EXPECT_EQ(Refusal(ToProduce("new", 0, Numbered(1))), ErrorCode::kNone);
}

// By these clients see that they may begin a new epoch.
TEST_F(RecordsTest, AProducerThatIsNotKnownAnyMoreIsToldSo) {
  EXPECT_EQ(Refusal(ToProduce("t", 0, Numbered(0))), ErrorCode::kNone);
  ASSERT_TRUE(world_.ForgetProducers("t").ok());
  const auto forgotten = Produce(ToProduce("t", 0, Numbered(1)));
  EXPECT_EQ(forgotten.error_code, ErrorCode::kUnknownProducerId);
  EXPECT_EQ(forgotten.log_start_offset, 0) << "without it Java tries again for ever";
  EXPECT_EQ(Refusal(ToProduce("t", 0, Numbered(0, 1))), ErrorCode::kNone);
}

TEST_F(RecordsTest, OnePartitionThatFailsDoesNotStopTheOthers) {
  ProduceRequest request = ToProduce("t", 0, BatchOf({"a"}));
  request.topic_data[0].partition_data.push_back({7, Bytes(BatchOf({"b"}))});
  request.topic_data[0].partition_data.push_back({1, Bytes(BatchOf({"c"}))});
  const auto response = world_.Ask<ProduceResponse>(request);
  const auto& rows = response.responses.at(0).partition_responses;
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].error_code, ErrorCode::kNone);
  EXPECT_EQ(rows[1].error_code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(rows[1].base_offset, -1);
  EXPECT_EQ(rows[2].error_code, ErrorCode::kNone);
}

TEST_F(RecordsTest, WithoutAcksThereIsNoAnswer) {
  ProduceRequest request = ToProduce("t", 0, BatchOf({"a"}));
  request.acks = 0;
  const auto frame = EncodeRequest({0, 9, 1, "c"}, request);
  auto reply = world_.Serve(*frame);
  ASSERT_TRUE(reply.ok());
  EXPECT_FALSE(*reply);
  EXPECT_EQ(world_.LogOf("t").state().end, Offset(1));
  request.topic_data[0].name = "none";
  EXPECT_FALSE(world_.Serve(*EncodeRequest({0, 9, 1, "c"}, request)).ok()) << "the connection is to end";
}

TEST_F(RecordsTest, AFetchAtTheEndWaitsForData) {
  auto waiting = std::async(std::launch::async, [&] { return Fetch(ToFetch(0, 60'000)); });
  // It answers when something comes, however long it may wait.
  world_.Write("t", {"a"});
  ASSERT_EQ(waiting.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_THAT(ValuesOf(waiting.get()), ElementsAre("a"));
}

TEST_F(RecordsTest, AFetchThatMayWaitNoLongerSaysThatThereIsNothing) {
  const auto row = Fetch(ToFetch(0, 20));
  EXPECT_EQ(row.error_code, ErrorCode::kNone);
  EXPECT_TRUE(row.records.empty());
}

TEST_F(RecordsTest, FetchOutsideOfTheLogAndOfUnknownTopicsFailsAtOnce) {
  world_.Write("t", {"a"});
  EXPECT_EQ(Fetch(ToFetch(2, 60'000)).error_code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(Fetch(ToFetch(-1, 60'000)).error_code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(Fetch(ToFetch(0, 60'000, 5)).error_code, ErrorCode::kUnknownTopicOrPartition);
  FetchRequest unknown = ToFetch(0, 60'000);
  unknown.topics[0].topic = "none";
  EXPECT_EQ(Fetch(unknown).error_code, ErrorCode::kUnknownTopicOrPartition);
  FetchRequest epoch = ToFetch(0, 60'000);
  epoch.topics[0].partitions[0].current_leader_epoch = 5;
  EXPECT_EQ(Fetch(epoch).error_code, ErrorCode::kUnknownLeaderEpoch);
}

TEST_F(RecordsTest, LimitsBoundTheAnswerButNeverBlockIt) {
  for (int i = 0; i < 5; ++i) world_.Write("t", {std::string(1000, static_cast<char>('a' + i))});
  FetchRequest request = ToFetch(0);
  request.topics[0].partitions[0].partition_max_bytes = 2500;
  EXPECT_EQ(ValuesOf(Fetch(request)).size(), 2u);
  request.topics[0].partitions[0].partition_max_bytes = 10;
  EXPECT_EQ(ValuesOf(Fetch(request)).size(), 1u) << "the first batch comes whole";
  request.topics[0].partitions[0].partition_max_bytes = 1 << 20;
  request.max_bytes = 10;
  EXPECT_EQ(ValuesOf(Fetch(request)).size(), 1u);
}

// Else clients that read to the end of a log never get there.
TEST_F(RecordsTest, AGapThatEndsALogIsABatchWithoutRecords) {
  world_.Write("t", {"a"});
  AppendGap(Offset(5));
  EXPECT_THAT(ValuesOf(Fetch(ToFetch(0))), ElementsAre("a"));
  for (const int64_t from : {1, 3}) {
    const auto row = Fetch(ToFetch(from, 1));
    EXPECT_EQ(row.high_watermark, 5);
    ASSERT_EQ(row.records.size(), 1u);
    EXPECT_EQ(row.records[0], Bytes(EmptyBatch(Offset(from), Offset(5), LeaderEpoch(0))));
  }
  EXPECT_TRUE(Fetch(ToFetch(5)).records.empty());
}

// Some clients do not go on behind such a batch: they must not ask in a busy loop.
TEST_F(RecordsTest, ABatchWithoutRecordsDoesNotEndAWait) {
  AppendGap(Offset(5));
  auto waiting = std::async(std::launch::async, [&] { return Fetch(ToFetch(0, 60'000)); });
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  world_.Write("t", {"z"});
  EXPECT_THAT(ValuesOf(waiting.get()), ElementsAre("z"));
}

TEST_F(RecordsTest, GapsAreSkipped) {
  world_.Write("t", {"a"});
  AppendGap(Offset(5));
  world_.Write("t", {"z"});
  EXPECT_THAT(ValuesOf(Fetch(ToFetch(1))), ElementsAre("z"));
  EXPECT_THAT(ValuesOf(Fetch(ToFetch(3))), ElementsAre("z"));
}

TEST_F(RecordsTest, OffsetsAreFoundByPlaceAndByTime) {
  EXPECT_EQ(OffsetAt(-1).offset, 0);
  EXPECT_EQ(OffsetAt(-3).offset, -1) << "nothing is there";
  world_.Write("t", {"a", "b", "c"}, 1000);
  world_.Write("t", {"d", "e"}, 2000);
  EXPECT_EQ(OffsetAt(-1).offset, 5);
  EXPECT_EQ(OffsetAt(-2).offset, 0);
  EXPECT_EQ(OffsetAt(1001).offset, 1) << "exact within the batch";
  EXPECT_EQ(OffsetAt(1001).timestamp, 1001);
  EXPECT_EQ(OffsetAt(1500).offset, 3);
  EXPECT_EQ(OffsetAt(2001).offset, 4);
  EXPECT_EQ(OffsetAt(2002).offset, -1);
  EXPECT_EQ(OffsetAt(2002).timestamp, -1);
  EXPECT_EQ(OffsetAt(2002).error_code, ErrorCode::kNone);
  EXPECT_EQ(OffsetAt(-3).offset, 4) << "the newest record";
}

TEST_F(RecordsTest, DeletingRecordsMovesTheStart) {
  world_.Write("t", {"a", "b"});
  world_.Write("t", {"c"});
  EXPECT_EQ(Trim("t", 1).low_watermark, 1) << "inside of a batch";
  EXPECT_EQ(Fetch(ToFetch(0)).error_code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(Fetch(ToFetch(1)).log_start_offset, 1);
  EXPECT_THAT(ValuesOf(Fetch(ToFetch(1))), ElementsAre("a", "b", "c")) << "the batch with the offset, whole";
  EXPECT_EQ(OffsetAt(-2).offset, 1);
  EXPECT_EQ(OffsetAt(0).offset, 1);
  EXPECT_EQ(Trim("t", 2).low_watermark, 2);
  EXPECT_EQ(Fetch(ToFetch(0)).error_code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(OffsetAt(-2).offset, 2);
  EXPECT_EQ(Trim("t", 4).error_code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(Trim("t", -2).error_code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(Trim("t", -1).low_watermark, 3) << "up to the end";
  EXPECT_EQ(Trim("none", 0).error_code, ErrorCode::kUnknownTopicOrPartition);
}

TEST_F(RecordsTest, WhatIsNotReplicatedYetIsNotDeleted) {
  world_.MakeTopic("up", 1, v1::UP);
  world_.Write("up", {"a"});
  world_.Write("up", {"b"});
  EXPECT_EQ(Trim("up", -1).error_code, ErrorCode::kPolicyViolation);
  world_.LogOf("up").SetAcknowledged(Offset(1));
  EXPECT_EQ(Trim("up", 1).low_watermark, 1);
  EXPECT_EQ(Trim("up", 2).error_code, ErrorCode::kPolicyViolation);
}

TEST_F(RecordsTest, EpochsEndWhereTheNextBegan) {
  world_.Write("t", {"a", "b"});
  EXPECT_EQ(EpochEnd(0).leader_epoch, 0);
  EXPECT_EQ(EpochEnd(0).end_offset, 2);
  EXPECT_EQ(EpochEnd(1).leader_epoch, -1);
  EXPECT_EQ(EpochEnd(1).end_offset, -1);
  EXPECT_EQ(EpochEnd(0, 3).error_code, ErrorCode::kUnknownLeaderEpoch);
  EXPECT_EQ(EpochEnd(0, 0).error_code, ErrorCode::kNone);
}

TEST_F(RecordsTest, ACompactedTopicNamesTheRecordsWithoutAKey) {
  v1::StreamDefinition compacted;
  compacted.set_name("newest");
  compacted.set_direction(v1::LOCAL);
  compacted.set_partitions(1);
  compacted.mutable_settings()->set_cleanup(v1::CLEANUP_COMPACT);
  ASSERT_TRUE(world_.topics().Create(compacted, /*validate_only=*/false).ok());
  BatchBuilder builder;
  for (const bool has_key : {true, false, true, false}) {
    Record record;
    if (has_key) record.key = "k";
    record.value = "v";
    builder.Add(record);
  }
  const auto row = Produce(ToProduce("newest", 0, builder.Build()));
  EXPECT_EQ(row.error_code, ErrorCode::kInvalidRecord);
  std::vector<int32_t> named;
  for (const auto& error : row.record_errors) named.push_back(error.batch_index);
  EXPECT_THAT(named, ElementsAre(1, 3));
  EXPECT_THAT(Produce(ToProduce("t", 0, std::nullopt)).record_errors, ElementsAre())
      << "no record is at fault";
}

}  // namespace
}  // namespace selvage::kafka::test
