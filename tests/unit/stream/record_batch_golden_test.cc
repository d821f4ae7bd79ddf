// The format, byte by byte: against a batch written out by hand, and against batches of another
// implementation.
#include <limits>

#include "tests/unit/stream/record_batch_samples.h"

namespace selvage {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

const char kHandmadeHex[] =
    "0000000000000000"  // base offset 0
    "0000004a"          // batch length 74: what follows this field
    "00000000"          // leader epoch 0
    "02"                // magic
    "819f03c7"          // CRC-32C of all that follows
    "0000"              // attributes: no compression, create time
    "00000001"          // last offset delta 1
    "00000000000003e8"  // base timestamp 1000
    "0000000000000514"  // max timestamp 1300
    "ffffffffffffffff"  // producer id -1
    "ffff"              // producer epoch -1
    "ffffffff"          // base sequence -1
    "00000002"          // record count 2
    // First record
    "1e"      // length 15
    "00"      // attributes
    "00"      // timestamp delta 0
    "00"      // offset delta 0
    "046b31"  // key of 2 bytes, "k1"
    "01"      // value null
    "04"      // 2 headers
    "0268"    // header key of 1 byte, "h"
    "0278"    // header value of 1 byte, "x"
    "026e"    // header key of 1 byte, "n"
    "01"      // header value null
    // Second record
    "10"    // length 8
    "00"    // attributes
    "d804"  // timestamp delta 300
    "02"    // offset delta 1
    "01"    // key null
    "0276"  // value of 1 byte, "v"
    "00";   // no headers

std::vector<Record> HandmadeRecords() {
  return {{Offset(0), 1000, "k1", std::nullopt, {{"h", "x"}, {"n", std::nullopt}}},
          {Offset(1), 1300, std::nullopt, "v", {}}};
}

// SampleRecords(), produced by kafka-python 3.0.12 (DefaultRecordBatchBuilder).
const char kKafkaPythonHex[] =
    "0000000000000000000000da000000000258ede3860000000000030000018bcfe5687b0000018bcfee8fc0ffffff"
    "ffffffffffffffffffffff00000004200000000a7269672d370a37332e39360034002d0201086c6174650408756e"
    "69740864656743086e6f7465010e00f02e04000100e601008a9d4906046b6bc80176767676767676767676767676"
    "76767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676"
    "76767676767676767676767676767676767676767676767676767676767676767676767676767676760204c3a900";
// The same with producer id 4711, producer epoch 3 and base sequence 99.
const char kKafkaPythonIdempotentHex[] =
    "0000000000000000000000da0000000002da0423e50000000000030000018bcfe5687b0000018bcfee8fc0000000"
    "000000126700030000006300000004200000000a7269672d370a37332e39360034002d0201086c6174650408756e"
    "69740864656743086e6f7465010e00f02e04000100e601008a9d4906046b6bc80176767676767676767676767676"
    "76767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676"
    "76767676767676767676767676767676767676767676767676767676767676767676767676767676760204c3a900";
// The same records, compressed with zstd and with gzip.
const char kKafkaPythonZstdHex[] =
    "0000000000000000000000880000000002bb75f08b0004000000030000018bcfe5687b0000018bcfee8fc0ffffff"
    "ffffffffffffffffffffff0000000428b52ffd20a97502006404200000000a7269672d370a37332e39360034002d"
    "0201086c6174650408756e69740864656743086e6f7465010e00f02e04000100e601008a9d4906046b6bc8017602"
    "04c3a900010001484114";
const char kKafkaPythonGzipHex[] =
    "00000000000000000000008d0000000002cc257f0a0001000000030000018bcfe5687b0000018bcfee8fc0ffffff"
    "ffffffffffffffffffffff000000041f8b08005f19046b02ff53606060e02aca4cd735e73237d6b334633061d065"
    "62e4c8492c4965e128cdcb2ce148494d77e6c8cb2f4965e463f8a0c7c2c0c8f08c91a16bae271b4b76f609c6323a"
    "002696c32b1900114352d2a9000000";
// The same in the framing of Java's snappy.
const char kKafkaPythonSnappyHex[] =
    "00000000000000000000009900000000021d051c1b0002000000030000018bcfe5687b0000018bcfee8fc0ffffff"
    "ffffffffffffffffffffff0000000482534e4150505900000000010000000100000054a901f043200000000a7269"
    "672d370a37332e39360034002d0201086c6174650408756e69740864656743086e6f7465010e00f02e04000100e6"
    "01008a9d4906046b6bc80176767676fe03007e0300100204c3a900";
// The same as an LZ4 frame that states its size.
const char kKafkaPythonLz4Hex[] =
    "00000000000000000000009400000000020ebba4a10003000000030000018bcfe5687b0000018bcfee8fc0ffffff"
    "ffffffffffffffffffffff0000000404224d186840a900000000000000ab4c000000ff32200000000a7269672d37"
    "0a37332e39360034002d0201086c6174650408756e69740864656743086e6f7465010e00f02e04000100e601008a"
    "9d4906046b6bc80176010050500204c3a90000000000";

TEST(RecordBatchGoldenTest, EncodesTheHandmadeBatch) {
  EXPECT_EQ(ToHex(BuildBatch(HandmadeRecords())), kHandmadeHex);
}

TEST(RecordBatchGoldenTest, ReadsTheHandmadeBatch) {
  const std::string batch = FromHex(kHandmadeHex);
  const auto header = ParseBatchHeader(batch);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->base_offset, Offset(0));
  EXPECT_EQ(header->batch_length, 74);
  EXPECT_EQ(header->leader_epoch, LeaderEpoch(0));
  EXPECT_EQ(header->magic, 2);
  EXPECT_EQ(header->crc, 0x819f03c7u);
  EXPECT_EQ(header->attributes, 0);
  EXPECT_EQ(header->last_offset_delta, 1);
  EXPECT_EQ(header->base_timestamp, 1000);
  EXPECT_EQ(header->max_timestamp, 1300);
  EXPECT_EQ(header->producer_id, -1);
  EXPECT_EQ(header->producer_epoch, -1);
  EXPECT_EQ(header->base_sequence, -1);
  EXPECT_EQ(header->record_count, 2);
  EXPECT_EQ(header->next_offset(), Offset(2));
  EXPECT_EQ(header->total_size(), batch.size());
  EXPECT_TRUE(BatchCrcMatches(batch));
  EXPECT_EQ(KindOf(ValidateProducedBatch(batch, batch.size())), "");

  const auto records = DecodeRecords(batch);
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_THAT(*records, ElementsAreArray(HandmadeRecords()));
}

TEST(RecordBatchGoldenTest, StampsOffsetAndEpochOutsideTheCrc) {
  std::string batch = FromHex(kHandmadeHex);
  StampBatch(batch.data(), Offset(0x0102030405060708), LeaderEpoch(0x0a0b0c0d));
  EXPECT_EQ(ToHex(batch),
            "0102030405060708"
            "0000004a"
            "0a0b0c0d" +
                std::string(kHandmadeHex).substr(32));
  const auto header = ParseBatchHeader(batch);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->base_offset, Offset(0x0102030405060708));
  EXPECT_EQ(header->leader_epoch, LeaderEpoch(0x0a0b0c0d));
  EXPECT_TRUE(BatchCrcMatches(batch));
  const auto records = DecodeRecords(batch);
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ(records->at(1).offset, Offset(0x0102030405060709));
}

TEST(RecordBatchGoldenTest, EncodesTheSameBytesAsKafkaPython) {
  EXPECT_EQ(ToHex(BuildBatch(SampleRecords())), kKafkaPythonHex);
}

TEST(RecordBatchGoldenTest, TakesAndDecodesBatchesOfKafkaPython) {
  for (const char* hex : {kKafkaPythonHex, kKafkaPythonIdempotentHex, kKafkaPythonGzipHex,
                          kKafkaPythonSnappyHex, kKafkaPythonLz4Hex, kKafkaPythonZstdHex}) {
    const std::string batch = FromHex(hex);
    EXPECT_EQ(KindOf(ValidateProducedBatch(batch, batch.size())), "");
    const auto records = DecodeRecords(batch);
    ASSERT_TRUE(records.ok()) << records.status();
    EXPECT_THAT(*records, ElementsAreArray(SampleRecords()));
  }
}

TEST(RecordBatchGoldenTest, ReadsTheProducerFieldsOfKafkaPython) {
  const std::string batch = FromHex(kKafkaPythonIdempotentHex);
  const auto header = ValidateProducedBatch(batch, batch.size());
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->producer_id, 4711);
  EXPECT_EQ(header->producer_epoch, 3);
  EXPECT_EQ(header->base_sequence, 99);
  EXPECT_EQ(header->codec_bits(), 0);
  EXPECT_FALSE(header->control());
  EXPECT_FALSE(header->transactional());
}

// Of kafka-clients 4.1 for Java: DefaultRecordBatch.writeEmptyHeader, as its log cleaner uses it.
TEST(RecordBatchGoldenTest, EncodesTheSameEmptyBatchAsKafka) {
  EXPECT_EQ(
      ToHex(EmptyBatch(Offset(5), Offset(10), LeaderEpoch(3))),
      "0000000000000005000000310000000302bf2af076000000000004ffffffffffffffffffffffffffffffffffffffffffffff"
      "ffffffffffffff00000000");
}

TEST(BatchBuilderTest, AnEmptyBatchHoldsAsManyOffsetsAsItCan) {
  const std::string batch = EmptyBatch(Offset(7), Offset(int64_t{1} << 40), LeaderEpoch(0));
  EXPECT_EQ(LoadBig<int32_t>(batch.data() + 23), std::numeric_limits<int32_t>::max());
}

TEST(BatchBuilderTest, IsEmptyAgainAfterBuildAndStartsAfresh) {
  BatchBuilder builder;
  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.EstimatedSize(), kBatchHeaderSize);
  builder.Add({Offset(77), 5000, "a", "b", {}});
  builder.Add({Offset(5), 4000, "c", "d", {}});
  EXPECT_EQ(builder.count(), 2);
  const size_t estimate = builder.EstimatedSize();
  const std::string first = builder.Build();
  EXPECT_EQ(first.size(), estimate);
  const auto header = ParseBatchHeader(first);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->base_timestamp, 5000);
  EXPECT_EQ(header->max_timestamp, 5000);

  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.EstimatedSize(), kBatchHeaderSize);
  for (const Record& record : HandmadeRecords()) builder.Add(record);
  EXPECT_EQ(ToHex(builder.Build()), kHandmadeHex);
}

TEST(BatchBuilderTest, AnyTimestampsSurvive) {
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
  for (Codec codec : {Codec::kNone, Codec::kZstd}) {
    const std::vector<Record> records = {
        {Offset(0), -1, "", "", {}}, {Offset(1), kHighest, "", "", {}}, {Offset(2), kLowest, "", "", {}}};
    const auto decoded = DecodeRecords(BuildBatch(records, codec));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_THAT(*decoded, ElementsAreArray(records));
  }
}

TEST(BatchBuilderTest, VarintsOfEveryLengthSurvive) {
  std::vector<Record> records;
  for (int bits = 0; bits < 22; ++bits) {
    for (int around : {-1, 0, 1}) {
      const size_t size = static_cast<size_t>((1 << bits) + around);
      records.push_back({Offset(static_cast<int64_t>(records.size())),
                         int64_t{1} << (2 * bits),
                         std::string(size, 'x'),
                         std::string(1, 'y'),
                         {}});
    }
  }
  const std::string batch = BuildBatch(records);
  EXPECT_EQ(KindOf(ValidateProducedBatch(batch, kNoLimit)), "");
  const auto decoded = DecodeRecords(batch);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == records);
}

TEST(BatchBuilderDeathTest, RefusesWhatItCannotBuild) {
  EXPECT_DEATH(BatchBuilder{}.Build(), "empty");
}

}  // namespace
}  // namespace selvage
