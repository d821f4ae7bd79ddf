// What producers and peers may send that is wrong: every refusal of the codec, and damage at every byte.
#include <limits>

#include "tests/unit/stream/record_batch_samples.h"

namespace selvage {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

std::string KindOfValidation(std::string_view batch) {
  return KindOf(ValidateProducedBatch(batch, kNoLimit));
}

/// A batch that announces `count` records and holds these bytes instead; everything else is right.
std::string WithRecordBytes(int32_t count, std::string_view records_hex) {
  std::string batch = BuildBatch({{Offset(0), 1000, "k", "v", {}}}).substr(0, kBatchHeaderSize);
  batch += FromHex(records_hex);
  StoreBig<int32_t>(batch.data() + 23, count - 1);
  StoreBig<int32_t>(batch.data() + 57, count);
  return Reseal(std::move(batch));
}

TEST(ParseBatchHeaderTest, RefusesWhatNoStoredBatchCanBe) {
  const std::string good = BuildBatch(SampleRecords());
  ASSERT_TRUE(ParseBatchHeader(good).ok());
  const std::string header_only = good.substr(0, kBatchHeaderSize);
  EXPECT_EQ(KindOf(ParseBatchHeader("")), "corrupt_batch");
  EXPECT_EQ(KindOf(ParseBatchHeader(Reseal(header_only.substr(0, 60)))), "corrupt_batch");
  EXPECT_TRUE(ParseBatchHeader(Reseal(header_only)).ok());
  EXPECT_EQ(KindOf(ParseBatchHeader(good + "x")), "corrupt_batch");
  EXPECT_EQ(KindOf(ParseBatchHeader(good.substr(0, good.size() - 1))), "corrupt_batch");
  for (int8_t magic : {0, 1, 3, -1}) {
    EXPECT_EQ(KindOf(ParseBatchHeader(WithField<int8_t>(good, 16, magic))), "corrupt_batch");
  }
  for (int32_t delta : {-1, 2}) {
    EXPECT_EQ(KindOf(ParseBatchHeader(WithField<int32_t>(good, 23, delta))), "corrupt_batch");
  }
  for (int32_t delta : {4, std::numeric_limits<int32_t>::max()}) {
    const std::string fewer = WithField<int32_t>(good, 23, delta);
    EXPECT_TRUE(ParseBatchHeader(fewer)->compacted());
    EXPECT_EQ(KindOf(ValidateProducedBatch(fewer, kNoLimit)), "invalid_record");
  }
  constexpr int32_t kLowest = std::numeric_limits<int32_t>::min();
  for (int32_t count : {0, -1, kLowest}) {
    std::string batch = WithField<int32_t>(good, 57, count);
    const int32_t delta = count == kLowest ? std::numeric_limits<int32_t>::max() : count - 1;
    EXPECT_EQ(KindOf(ParseBatchHeader(WithField<int32_t>(batch, 23, delta))), "corrupt_batch");
  }
  const absl::Status status = ParseBatchHeader(good + "x").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(IsRetryable(status));
}

TEST(ParseBatchHeaderTest, LengthFieldBeyondAnySizeIsRefused) {
  std::string batch = BuildBatch(SampleRecords());
  for (int32_t length :
       {std::numeric_limits<int32_t>::min(), -13, -12, -1, 0, 48, std::numeric_limits<int32_t>::max()}) {
    StoreBig<int32_t>(batch.data() + 8, length);
    EXPECT_EQ(KindOf(ParseBatchHeader(batch)), "corrupt_batch") << length;
    EXPECT_EQ(KindOfValidation(batch), "corrupt_batch") << length;
  }
}

TEST(ParseBatchHeaderTest, NextOffsetNeverOverflows) {
  std::string batch = BuildBatch({{Offset(0), 0, "k", "v", {}}});
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  StampBatch(batch.data(), Offset(kMax), LeaderEpoch(0));
  EXPECT_EQ(KindOf(ParseBatchHeader(batch)), "corrupt_batch");
  StampBatch(batch.data(), Offset(kMax - (int64_t{1} << 31)), LeaderEpoch(0));
  ASSERT_TRUE(ParseBatchHeader(batch).ok());
  EXPECT_EQ(ParseBatchHeader(batch)->next_offset(), Offset(kMax - (int64_t{1} << 31) + 1));
}

TEST(ParseBatchHeaderTest, DoesNotLookAtTheCrc) {
  std::string batch = BuildBatch(SampleRecords());
  batch.back() ^= 1;
  EXPECT_TRUE(ParseBatchHeader(batch).ok());
  EXPECT_FALSE(BatchCrcMatches(batch));
}

TEST(ValidateProducedBatchTest, LimitCountsEveryByte) {
  const std::string batch = BuildBatch(SampleRecords());
  EXPECT_TRUE(ValidateProducedBatch(batch, batch.size()).ok());
  const absl::Status status = ValidateProducedBatch(batch, batch.size() - 1).status();
  EXPECT_EQ(ErrorKind(status), "batch_too_large");
  EXPECT_FALSE(IsRetryable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(batch.size())));
}

TEST(ValidateProducedBatchTest, DamageIsWorthARetry) {
  std::string batch = BuildBatch(SampleRecords());
  batch[100] ^= 4;
  for (const absl::Status& status : {ValidateProducedBatch(batch, kNoLimit).status(),
                                     ValidateProducedBatch(batch.substr(0, 80), kNoLimit).status()}) {
    EXPECT_EQ(ErrorKind(status), "corrupt_batch");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(IsRetryable(status));
  }
}

TEST(ValidateProducedBatchTest, OldFormatsAreNamed) {
  // A message of format v0 and one of v1 (with timestamp), the key null and the value "v". They are shorter
  // than the header of a batch.
  const std::string v0 = FromHex(
      "00000000000000000000000f"
      "6f4e8d42"
      "00"
      "00"
      "ffffffff"
      "00000001"
      "76");
  const std::string v1 = FromHex(
      "000000000000000000000017"
      "6f4e8d42"
      "01"
      "00"
      "0000018bcfe5687b"
      "ffffffff"
      "00000001"
      "76");
  for (const std::string& message : {v0, v1}) {
    const absl::Status status = ValidateProducedBatch(message, kNoLimit).status();
    EXPECT_EQ(ErrorKind(status), "unsupported_format");
    EXPECT_FALSE(IsRetryable(status));
    EXPECT_FALSE(ErrorHint(status).empty());
  }
  EXPECT_EQ(KindOfValidation(WithField<int8_t>(BuildBatch(SampleRecords()), 16, 3)), "corrupt_batch");
}

TEST(ValidateProducedBatchTest, OneBatchAndNotNoneOrTwo) {
  const std::string batch = BuildBatch(SampleRecords());
  for (const std::string& bytes : {std::string(), batch + batch, batch + "x"}) {
    const absl::Status status = ValidateProducedBatch(bytes, kNoLimit).status();
    EXPECT_EQ(ErrorKind(status), "invalid_record");
    EXPECT_FALSE(IsRetryable(status));
  }
}

TEST(ValidateProducedBatchTest, WrongFieldsUnderARightCrcAreTheClientsFault) {
  const std::string good = BuildBatch(SampleRecords());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {WithField<int16_t>(good, 21, 0x10), "transactions"},
      {WithField<int16_t>(good, 21, 0x20), "control"},
      {WithField<int16_t>(good, 21, 0x30), "control"},
      {WithField<int16_t>(good, 21, 5), "codec 5"},
      {WithField<int16_t>(good, 21, 7), "codec 7"},
      {WithField<int32_t>(good, 23, 4), "offset delta of 4"},
      {WithField<int32_t>(good, 57, 3), "3 records"},
      {WithField<int64_t>(good, 43, 4711), "4711"},  // epoch and base sequence are still -1
      {WithField<int16_t>(WithField<int64_t>(good, 43, 4711), 51, 0), "base sequence -1"},
      {WithField<int32_t>(WithField<int64_t>(good, 43, 4711), 53, 0), "epoch -1"},
  };
  for (const auto& [batch, part] : cases) {
    const absl::Status status = ValidateProducedBatch(batch, kNoLimit).status();
    EXPECT_EQ(ErrorKind(status), "invalid_record") << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
    EXPECT_FALSE(ErrorHint(status).empty());
    EXPECT_FALSE(IsRetryable(status));
  }
}

TEST(ValidateProducedBatchTest, TakesWhatIsOverwrittenOrOpaque) {
  std::string batch = BuildBatch(SampleRecords());
  StampBatch(batch.data(), Offset(-1), LeaderEpoch(-1));
  EXPECT_EQ(KindOfValidation(batch), "");
  // Compressed records are not opened: these could not be decompressed.
  for (int16_t codec : {1, 2, 3, 4}) {
    EXPECT_EQ(KindOfValidation(WithField<int16_t>(batch, 21, codec)), "");
  }
}

TEST(ValidateProducedBatchTest, MalformedRecords) {
  const std::vector<std::pair<std::string, const char*>> good = {
      {"0c000000010100", "key and value null"},
      {"0c000000000000", "key and value empty"},
      {"0cff0000010100", "attributes set"},
      {"8c80808000000000010100", "a padded varint of five bytes"},
      {"1e00ffffffffffffffffff0100010100", "the lowest timestamp delta"},
  };
  for (const auto& [hex, what] : good) EXPECT_EQ(KindOfValidation(WithRecordBytes(1, hex)), "") << what;

  struct Case {
    const char* what;
    const char* hex;
    const char* fault;
  };
  const std::vector<Case> bad = {
      {"no record", "", "length runs past"},
      {"a record of length 0", "00", "empty"},
      {"a record of length -1", "01", "length runs past"},
      {"a length one too long", "0e000000010100", "length runs past"},
      {"a length one too short", "0a000000010100", "header count"},
      {"a byte left over in the record", "0e00000001010000", "not that of its fields"},
      {"a byte left over in the batch", "0c00000001010000", "1 bytes follow"},
      {"an offset delta that starts at 1", "0c000002010100", "offset does not follow"},
      {"an offset delta that starts at -1", "0c000001010100", "offset does not follow"},
      {"a key of length -2", "0c000000030100", "key runs past"},
      {"a key longer than the record", "0c000000060100", "key runs past"},
      {"a value of length -2", "0c000000010300", "value runs past"},
      {"a value longer than the record", "0c000000010400", "value runs past"},
      {"-1 headers", "0c000000010101", "header count"},
      {"a header that is not there", "0c000000010102", "headers"},
      {"a header with the key null", "100000000101020101", "headers"},
      {"a header value of length -2", "100000000101020003", "headers"},
      {"a header key of 2^31 - 1 bytes", "16000000010102feffffff0f", "headers"},
      {"2^31 - 1 headers", "140000000101feffffff0f", "headers"},
      {"a key of 2^31 - 1 bytes", "14000000feffffff0f0100", "key runs past"},
      {"a length of more than 32 bits", "ffffffff1f000000010100", "length runs past"},
      {"a padded varint of six bytes", "8c8080808000000000010100", "length runs past"},
      {"a varint without end", "ffffffffffffffffffffffffffffffff", "length runs past"},
      {"a timestamp of more than 64 bits", "1e00ffffffffffffffffff0300010100", "timestamp"},
      {"a timestamp of eleven bytes", "2000ffffffffffffffffffff0100010100", "timestamp"},
  };
  for (const Case& one : bad) {
    const std::string batch = WithRecordBytes(1, one.hex);
    const absl::Status status = ValidateProducedBatch(batch, kNoLimit).status();
    EXPECT_EQ(ErrorKind(status), "invalid_record") << one.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.fault)) << one.what;
    EXPECT_EQ(DecodeRecords(batch).status(), status) << one.what;
  }
}

TEST(ValidateProducedBatchTest, CountsAndOrdersRecords) {
  const std::string first = "0c000000010100", second = "0c000002010100", third = "0c000004010100";
  EXPECT_EQ(KindOfValidation(WithRecordBytes(2, first + second)), "");
  EXPECT_EQ(KindOfValidation(WithRecordBytes(3, first + second)), "invalid_record");
  EXPECT_EQ(KindOfValidation(WithRecordBytes(1, first + second)), "invalid_record");
  EXPECT_EQ(KindOfValidation(WithRecordBytes(2, first + third)), "invalid_record");
  EXPECT_EQ(KindOfValidation(WithRecordBytes(2, first + first)), "invalid_record");
  EXPECT_EQ(KindOfValidation(WithRecordBytes(2, second + first)), "invalid_record");
  EXPECT_THAT(
      std::string(ValidateProducedBatch(WithRecordBytes(2, first + third), kNoLimit).status().message()),
      HasSubstr("record 2 of 2: its offset"));
  // A count that no memory could hold costs nothing.
  const std::string huge = WithRecordBytes(std::numeric_limits<int32_t>::max(), first + second);
  EXPECT_EQ(KindOfValidation(huge), "invalid_record");
  EXPECT_EQ(KindOf(DecodeRecords(huge)), "invalid_record");
}

TEST(DecodeRecordsTest, LogAppendTimeIsThatOfTheBatch) {
  const std::string batch = WithField<int16_t>(BuildBatch(SampleRecords()), 21, 0x08);
  const auto records = DecodeRecords(batch);
  ASSERT_TRUE(records.ok()) << records.status();
  for (const Record& record : *records) EXPECT_EQ(record.timestamp, 1700000600000);
}

TEST(DecodeRecordsTest, DamageIsNoticed) {
  std::string batch = BuildBatch(SampleRecords());
  EXPECT_EQ(KindOf(DecodeRecords(batch.substr(0, 70))), "corrupt_batch");
  batch.back() ^= 1;
  EXPECT_EQ(KindOf(DecodeRecords(batch)), "corrupt_batch");
}

TEST(DecodeRecordsTest, RefusesCodecsThatDoNotExistAndDataOfAnother) {
  const std::string batch = BuildBatch(SampleRecords());
  for (int16_t codec : {1, 2, 3, 4, 5, 6, 7}) {
    EXPECT_EQ(KindOf(DecodeRecords(WithField<int16_t>(batch, 21, codec))), "invalid_record") << codec;
  }
}

class DamagedBatchTest : public ::testing::TestWithParam<Codec> {
 protected:
  const std::string batch_ = BuildBatch(SampleRecords(), GetParam());
};
INSTANTIATE_TEST_SUITE_P(Codecs, DamagedBatchTest,
                         ::testing::Values(Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4,
                                           Codec::kZstd),
                         [](const auto& test) { return std::string(CodecName(test.param)); });

TEST_P(DamagedBatchTest, EveryTruncationIsAnError) {
  for (size_t size = 0; size < batch_.size(); ++size) {
    // On the heap and of exactly this size, so that a sanitizer sees any read past the end.
    const std::vector<char> cut(batch_.begin(), batch_.begin() + static_cast<std::ptrdiff_t>(size));
    const std::string_view bytes(cut.data(), cut.size());
    EXPECT_EQ(KindOf(ParseBatchHeader(bytes)), "corrupt_batch") << size;
    EXPECT_EQ(KindOfValidation(bytes), size == 0 ? "invalid_record" : "corrupt_batch") << size;
    EXPECT_EQ(KindOf(DecodeRecords(bytes)), "corrupt_batch") << size;
    if (size < kBatchHeaderSize) continue;

    // With length and CRC set right, the cut is only to be found in the records.
    const std::string sealed = Reseal(std::string(bytes));
    EXPECT_EQ(KindOfValidation(sealed), GetParam() == Codec::kNone ? "invalid_record" : "") << size;
    EXPECT_EQ(KindOf(DecodeRecords(sealed)), "invalid_record") << size;
  }
}

TEST_P(DamagedBatchTest, EveryFlippedBitIsAnErrorUnlessItIsOverwrittenAnyway) {
  const auto good = ParseBatchHeader(batch_);
  ASSERT_TRUE(good.ok()) << good.status();
  for (size_t bit = 0; bit < batch_.size() * 8; ++bit) {
    const size_t at = bit / 8;
    std::string flipped = batch_;
    flipped[at] = static_cast<char>(flipped[at] ^ (0x80 >> (bit % 8)));
    const auto result = ValidateProducedBatch(flipped, kNoLimit);
    if (at < 8) {  // base offset
      ASSERT_TRUE(result.ok()) << bit << " " << result.status();
      EXPECT_EQ(static_cast<uint64_t>(result->base_offset.value()), uint64_t{1} << (63 - bit));
    } else if (at >= 12 && at < 16) {  // leader epoch
      ASSERT_TRUE(result.ok()) << bit << " " << result.status();
      EXPECT_EQ(static_cast<uint32_t>(result->leader_epoch.value()), uint32_t{1} << (127 - bit));
    } else if (at == 16 && flipped[at] == 0) {
      EXPECT_EQ(KindOf(result), "unsupported_format");
      continue;
    } else {
      EXPECT_EQ(KindOf(result), "corrupt_batch") << bit;
    }
    EXPECT_EQ(DecodeRecords(flipped).ok(), result.ok()) << bit;
  }
}

TEST_P(DamagedBatchTest, EveryFlippedBitUnderARightCrcGivesADefinedResult) {
  for (size_t bit = 0; bit < batch_.size() * 8; ++bit) {
    std::string flipped = batch_;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (0x80 >> (bit % 8)));
    flipped = Reseal(std::move(flipped));
    const auto header = ValidateProducedBatch(flipped, kNoLimit);
    EXPECT_THAT(KindOf(header), AnyOf("", "invalid_record", "unsupported_format", "corrupt_batch")) << bit;
    const auto records = DecodeRecords(flipped, 1u << 20);
    if (records.ok()) {
      EXPECT_EQ(records->size(), SampleRecords().size()) << bit;
    } else {
      EXPECT_THAT(KindOf(records), AnyOf("invalid_record", "corrupt_batch", "batch_too_large")) << bit;
    }
  }
}

}  // namespace
}  // namespace selvage
