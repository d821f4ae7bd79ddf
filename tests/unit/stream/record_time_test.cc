// The first record at or after a time, exactly.
#include "tests/unit/stream/record_batch_samples.h"

namespace selvage {
namespace {

/// At offset 40 on: times that go up and down.
std::string BatchAt40(Codec codec) {
  std::vector<Record> records;
  for (int64_t timestamp : {1000, 990, 1500, 1200, 3000})
    records.push_back({Offset(0), timestamp, "k", "v", {}});
  std::string batch = BuildBatch(records, codec);
  StampBatch(batch.data(), Offset(40), LeaderEpoch(1));
  return batch;
}

class RecordTimeTest : public ::testing::TestWithParam<Codec> {};

INSTANTIATE_TEST_SUITE_P(Codecs, RecordTimeTest,
                         ::testing::Values(Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4,
                                           Codec::kZstd),
                         [](const auto& test) { return std::string(CodecName(test.param)); });

TEST_P(RecordTimeTest, TheFirstRecordThatIsLateEnoughIsFound) {
  const std::string batch = BatchAt40(GetParam());
  const auto at = [&](int64_t timestamp_ms) {
    return FirstRecordAtOrAfter(batch, timestamp_ms, Offset(0)).value();
  };
  EXPECT_EQ(at(-1), (RecordTime{Offset(40), 1000}));
  EXPECT_EQ(at(1000), (RecordTime{Offset(40), 1000}));
  EXPECT_EQ(at(1001), (RecordTime{Offset(42), 1500}));
  EXPECT_EQ(at(1500), (RecordTime{Offset(42), 1500}));
  EXPECT_EQ(at(1501), (RecordTime{Offset(44), 3000}));
  EXPECT_EQ(at(3000), (RecordTime{Offset(44), 3000}));
  EXPECT_EQ(at(3001), std::nullopt);
}

TEST_P(RecordTimeTest, RecordsBeforeAnOffsetDoNotCount) {
  const std::string batch = BatchAt40(GetParam());
  EXPECT_EQ(FirstRecordAtOrAfter(batch, 1001, Offset(42)).value(), (RecordTime{Offset(42), 1500}));
  EXPECT_EQ(FirstRecordAtOrAfter(batch, 1001, Offset(44)).value(), (RecordTime{Offset(44), 3000}));
  EXPECT_EQ(FirstRecordAtOrAfter(batch, 1001, Offset(45)).value(), std::nullopt);
}

TEST_P(RecordTimeTest, ABatchWithTheBrokersTimeIsOneInstant) {
  const auto attributes = static_cast<int16_t>(static_cast<int16_t>(GetParam()) | 8);
  const std::string batch = WithField<int16_t>(BatchAt40(GetParam()), 21, attributes);
  EXPECT_EQ(FirstRecordAtOrAfter(batch, 1001, Offset(0)).value(), (RecordTime{Offset(40), 3000}));
}

TEST_P(RecordTimeTest, DamageIsAnError) {
  std::string flipped = BatchAt40(GetParam());
  flipped.back() ^= 1;
  EXPECT_EQ(KindOf(FirstRecordAtOrAfter(flipped, 1001, Offset(0))), "corrupt_batch");
  EXPECT_EQ(KindOf(FirstRecordAtOrAfter(Reseal(BatchAt40(GetParam()).substr(0, 70)), 1001, Offset(0))),
            "invalid_record");
  EXPECT_EQ(KindOf(FirstRecordAtOrAfter("short", 1001, Offset(0))), "corrupt_batch");
  EXPECT_EQ(KindOf(FirstRecordAtOrAfter(BatchAt40(GetParam()), 1001, Offset(0), 8)), "batch_too_large");
}

TEST_P(RecordTimeTest, AHeaderThatAnnouncesALaterTimeIsNotBelieved) {
  const std::string batch = WithField<int64_t>(BatchAt40(GetParam()), 35, 9000);
  EXPECT_EQ(FirstRecordAtOrAfter(batch, 3001, Offset(0)).value(), std::nullopt);
}

}  // namespace
}  // namespace selvage
