// Which records of a compacted stream stay, in batches of every codec.
#include "fabric/stream/compactor.h"

#include "tests/unit/stream/record_batch_samples.h"

namespace selvage {
namespace {

using ::testing::ElementsAre;

/// "a=1" is a record, "a" a tombstone, "=1" a record without a key.
Record Parse(const std::string& text) {
  Record record;
  const size_t at = text.find('=');
  if (at != 0) record.key = text.substr(0, at);
  if (at != std::string::npos) record.value = text.substr(at + 1);
  return record;
}

std::string BatchAt(int64_t offset, const std::vector<std::string>& texts, Codec codec = Codec::kNone) {
  BatchBuilder builder(codec);
  for (size_t i = 0; i < texts.size(); ++i) {
    Record record = Parse(texts[i]);
    record.timestamp = 1000 + 10 * static_cast<int64_t>(i);
    record.headers = {{"h", texts[i]}};
    builder.Add(record);
  }
  std::string batch = builder.Build();
  StampBatch(batch.data(), Offset(offset), LeaderEpoch(3));
  return batch;
}

/// "7:a=1" for what lies at offset 7.
std::vector<std::string> Shown(std::string_view batch) {
  std::vector<std::string> shown;
  const auto records = DecodeRecords(batch);
  EXPECT_TRUE(records.ok()) << records.status();
  for (const Record& record : records.value_or(std::vector<Record>())) {
    shown.push_back(std::to_string(record.offset.value()) + ":" + record.key.value_or("") +
                    (record.value ? "=" + *record.value : ""));
    EXPECT_EQ(record.headers.size(), 1u);
  }
  return shown;
}

class CompactorTest : public ::testing::TestWithParam<Codec> {
 protected:
  KeyOffsets newest_{100};
};

INSTANTIATE_TEST_SUITE_P(Codecs, CompactorTest,
                         ::testing::Values(Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4,
                                           Codec::kZstd),
                         [](const auto& test) { return std::string(CodecName(test.param)); });

TEST_P(CompactorTest, TheNewestOfEachKeyStaysWhereItWas) {
  const std::string first = BatchAt(10, {"a=1", "b=1", "a=2", "c=1"}, GetParam());
  const std::string second = BatchAt(14, {"c=2", "d=1"}, GetParam());
  ASSERT_TRUE(newest_.Take(first).ok());
  ASSERT_TRUE(newest_.Take(second).ok());
  EXPECT_EQ(newest_.size(), 4u);

  const auto compacted = CompactBatch(first, newest_, false);
  ASSERT_TRUE(compacted.ok()) << compacted.status();
  EXPECT_EQ(compacted->dropped, 2);
  ASSERT_TRUE(compacted->batch);
  EXPECT_THAT(Shown(*compacted->batch), ElementsAre("11:b=1", "12:a=2"));
  EXPECT_EQ(CompactBatch(second, newest_, false)->dropped, 0);
}

TEST_P(CompactorTest, TheNewBatchCoversWhatTheOldOneCovered) {
  std::string batch = BatchAt(10, {"a=1", "b=1", "a=2", "b=2"}, GetParam());
  batch = WithField<int64_t>(batch, 43, 77);
  batch = WithField<int16_t>(batch, 51, 4);
  batch = WithField<int32_t>(batch, 53, 900);
  ASSERT_TRUE(newest_.Take(batch).ok());
  ASSERT_TRUE(newest_.Take(BatchAt(20, {"b=3"})).ok());
  const auto compacted = CompactBatch(batch, newest_, false);
  ASSERT_TRUE(compacted.ok() && compacted->batch);
  const auto header = ParseBatchHeader(*compacted->batch);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->base_offset, Offset(10));
  EXPECT_EQ(header->next_offset(), Offset(14));
  EXPECT_EQ(header->leader_epoch, LeaderEpoch(3));
  EXPECT_EQ(header->record_count, 1);
  EXPECT_TRUE(header->compacted());
  EXPECT_EQ(header->codec_bits(), static_cast<uint8_t>(GetParam()));
  EXPECT_EQ(header->producer_id, 77);
  EXPECT_EQ(header->producer_epoch, 4);
  EXPECT_EQ(header->base_sequence, 900);
  EXPECT_EQ(header->max_timestamp, 1020) << "of what is left";
  EXPECT_TRUE(BatchCrcMatches(*compacted->batch));
  EXPECT_EQ(DecodeRecords(*compacted->batch)->front().timestamp, 1020);
  EXPECT_EQ(FirstRecordAtOrAfter(*compacted->batch, 1, Offset(0)).value(), (RecordTime{Offset(12), 1020}));
  EXPECT_EQ(KindOf(ValidateProducedBatch(*compacted->batch, kNoLimit)), "invalid_record")
      << "not from a producer";

  // And once more.
  ASSERT_TRUE(newest_.Take(BatchAt(21, {"a=9"})).ok());
  const auto again = CompactBatch(*compacted->batch, newest_, false);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->dropped, 1);
  EXPECT_FALSE(again->batch) << "nothing stays";
}

TEST_P(CompactorTest, TombstonesStayUntilTheyMayGo) {
  const std::string batch = BatchAt(0, {"a=1", "a", "b"}, GetParam());
  ASSERT_TRUE(newest_.Take(batch).ok());
  EXPECT_THAT(Shown(*CompactBatch(batch, newest_, false)->batch), ElementsAre("1:a", "2:b"));
  EXPECT_EQ(CompactBatch(batch, newest_, true)->dropped, 3);
  EXPECT_FALSE(CompactBatch(batch, newest_, true)->batch);
}

TEST_P(CompactorTest, RecordsWithoutAKeyStay) {
  const std::string batch = BatchAt(0, {"=1", "a=1", "=2", "a=2"}, GetParam());
  ASSERT_TRUE(newest_.Take(batch).ok());
  EXPECT_THAT(Shown(*CompactBatch(batch, newest_, true)->batch), ElementsAre("0:=1", "2:=2", "3:a=2"));
}

TEST_P(CompactorTest, WhatCannotBeReadIsAnError) {
  std::string batch = BatchAt(0, {"a=1", "a=2"}, GetParam());
  batch.back() ^= 1;
  EXPECT_EQ(KindOf(newest_.Take(batch)), "corrupt_batch");
  EXPECT_EQ(KindOf(CompactBatch(batch, newest_, false)), "corrupt_batch");
  const std::string cut = Reseal(BatchAt(0, {"a=1", "a=2"}, GetParam()).substr(0, 70));
  EXPECT_EQ(KindOf(CompactBatch(cut, newest_, false)), "invalid_record");
}

TEST(KeyOffsetsTest, IsFullAtItsBound) {
  KeyOffsets newest(3);
  ASSERT_TRUE(newest.Take(BatchAt(0, {"a=1", "b=1"})).ok());
  EXPECT_FALSE(newest.full());
  ASSERT_TRUE(newest.Take(BatchAt(2, {"b=2", "c=1", "d=1"})).ok()) << "taken whole";
  EXPECT_TRUE(newest.full());
  EXPECT_TRUE(newest.Superseded("b", Offset(1)));
  EXPECT_FALSE(newest.Superseded("b", Offset(2)));
  EXPECT_FALSE(newest.Superseded("e", Offset(0)));
}

TEST(KeyOffsetsTest, AnEmptyKeyIsAKey) {
  KeyOffsets newest(3);
  BatchBuilder builder;
  builder.Add({Offset(0), 1, "", "1", {}});
  builder.Add({Offset(0), 1, "", "2", {}});
  const std::string batch = builder.Build();
  ASSERT_TRUE(newest.Take(batch).ok());
  EXPECT_EQ(CompactBatch(batch, newest, false)->dropped, 1);
}

}  // namespace
}  // namespace selvage
