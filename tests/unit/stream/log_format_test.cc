#include "fabric/stream/log_format.h"

#include <fmt/format.h>

#include "tests/unit/stream/record_batch_samples.h"

namespace selvage {
namespace {

Gap SampleGap() {
  return {.from = Offset(1000),
          .to = Offset(1500),
          .reason = GapReason::kDroppedForSpace,
          .leader_epoch = LeaderEpoch(7),
          .hash_after = ChainHash(0x1122334455667788),
          .recorded_ms = 1'780'000'000'123};
}

Entry SampleBatchEntry() {
  std::string batch = BuildBatch(SampleRecords());
  StampBatch(batch.data(), Offset(1000), LeaderEpoch(7));
  Entry entry;
  entry.from = Offset(1000);
  entry.to = Offset(1004);
  entry.hash_before = ChainHash(0x0102030405060708);
  entry.hash_after = ChainBatch(entry.hash_before, batch);
  entry.append_ms = 1'780'000'000'123;
  entry.max_timestamp = 1'700'000'600'000;
  entry.log_bytes = 123'456;
  entry.body = Bytes(std::move(batch));
  return entry;
}

Entry SampleGapEntry() {
  Entry entry;
  entry.kind = EntryKind::kGap;
  entry.from = SampleGap().from;
  entry.to = SampleGap().to;
  entry.hash_before = ChainHash(0x0102030405060708);
  entry.hash_after = SampleGap().hash_after;
  entry.append_ms = 1'780'000'000'123;
  entry.max_timestamp = -1;
  entry.log_bytes = 123'456;
  entry.body = Bytes(EncodeGap(SampleGap()));
  return entry;
}

std::string Stored(const Entry& entry) {
  return EncodeEntryHeader(entry) + std::string(entry.body.view());
}

void ExpectSame(const Entry& a, const Entry& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.from, b.from);
  EXPECT_EQ(a.to, b.to);
  EXPECT_EQ(a.hash_before, b.hash_before);
  EXPECT_EQ(a.hash_after, b.hash_after);
  EXPECT_EQ(a.append_ms, b.append_ms);
  EXPECT_EQ(a.max_timestamp, b.max_timestamp);
  EXPECT_EQ(a.log_bytes, b.log_bytes);
  EXPECT_EQ(a.body, b.body);
}

// docs/formats.md quotes the bytes below.
TEST(LogFormatGolden, Key) {
  EXPECT_EQ(ToHex(LogKey(LogNumber(0x01020304), Offset(0x05060708090a0b0c))), "0102030405060708090a0b0c");
  EXPECT_EQ(OffsetOfLogKey(LogKey(LogNumber(7), Offset(1000))), Offset(1000));
  EXPECT_LT(LogKey(LogNumber(7), Offset(255)), LogKey(LogNumber(7), Offset(256)));
  EXPECT_LT(LogKey(LogNumber(7), Offset(INT64_MAX)), LogKey(LogNumber(8), Offset(0)));
}

TEST(LogFormatGolden, Gap) {
  EXPECT_EQ(ToHex(EncodeGap(SampleGap())),
            "00000000000003e800000000000005dc112233445566778800000007010000019e7044887b");
  EXPECT_EQ(*DecodeGap(EncodeGap(SampleGap())), SampleGap());
}

TEST(LogFormatGolden, BatchEntryHeader) {
  EXPECT_EQ(
      ToHex(EncodeEntryHeader(SampleBatchEntry())),
      "01010000d1d06d340000019e7044887b0000018bcfee8fc0000000000001e2400102030405060708e6e9f8de078d2d52");
  ExpectSame(*DecodeEntry(Offset(1000), Bytes(Stored(SampleBatchEntry()))), SampleBatchEntry());
  EXPECT_EQ(LeaderEpochOf(SampleBatchEntry()), LeaderEpoch(7));
}

TEST(LogFormatGolden, GapEntryHeader) {
  EXPECT_EQ(
      ToHex(EncodeEntryHeader(SampleGapEntry())),
      "010200003836d5410000019e7044887bffffffffffffffff000000000001e24001020304050607081122334455667788");
  ExpectSame(*DecodeEntry(Offset(1000), Bytes(Stored(SampleGapEntry()))), SampleGapEntry());
  EXPECT_EQ(LeaderEpochOf(SampleGapEntry()), LeaderEpoch(7));
}

TEST(LogFormatGolden, ChainHashes) {
  EXPECT_EQ(fmt::format("{:016x}", SampleBatchEntry().hash_after.value()), "e6e9f8de078d2d52");
  EXPECT_EQ(fmt::format("{:016x}", ChainGap(ChainHash(0x0102030405060708), SampleGap()).value()),
            "80bcfba590517095");
}

TEST(LogFormat, ChainDependsOnWhatCameBefore) {
  const std::string batch = BuildBatch(SampleRecords());
  EXPECT_NE(ChainBatch(ChainHash(1), batch), ChainBatch(ChainHash(2), batch));
  std::string other = batch;
  StampBatch(other.data(), Offset(1), LeaderEpoch(0));
  EXPECT_NE(ChainBatch(ChainHash(1), batch), ChainBatch(ChainHash(1), other));
  Gap longer = SampleGap();
  longer.to = longer.to + 1;
  EXPECT_NE(ChainGap(ChainHash(1), SampleGap()), ChainGap(ChainHash(1), longer));
}

class DamagedEntry : public ::testing::TestWithParam<Entry (*)()> {};
INSTANTIATE_TEST_SUITE_P(Kinds, DamagedEntry, ::testing::Values(&SampleBatchEntry, &SampleGapEntry));

/// Bytes that the entry's own checks vouch for: all of a gap; of a batch its header, as the records have
/// their own CRC.
size_t CoveredBytes(const Entry& entry) {
  return kEntryHeaderSize + (entry.kind == EntryKind::kGap ? entry.body.size() : kBatchHeaderSize);
}

TEST_P(DamagedEntry, EveryFlippedBitIsFound) {
  const Entry entry = GetParam()();
  const std::string whole = Stored(entry);
  for (size_t bit = 0; bit < CoveredBytes(entry) * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    auto decoded = DecodeEntry(entry.from, Bytes(std::move(damaged)));
    ASSERT_FALSE(decoded.ok()) << "bit " << bit;
    ASSERT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss);
    ASSERT_EQ(KindOf(decoded), "corrupt_entry");
  }
}

TEST_P(DamagedEntry, EveryOtherLengthIsFound) {
  const Entry entry = GetParam()();
  const std::string whole = Stored(entry);
  for (size_t size = 0; size < whole.size(); ++size) {
    ASSERT_EQ(KindOf(DecodeEntry(entry.from, Bytes(whole.substr(0, size)))), "corrupt_entry") << size;
  }
  EXPECT_EQ(KindOf(DecodeEntry(entry.from, Bytes(whole + "x"))), "corrupt_entry");
}

TEST_P(DamagedEntry, UnderAnotherKeyIsFound) {
  const Entry entry = GetParam()();
  EXPECT_EQ(KindOf(DecodeEntry(entry.from + 1, Bytes(Stored(entry)))), "corrupt_entry");
}

TEST(LogFormat, GapsThatMakeNoSense) {
  auto with = [](auto change) {
    Gap gap = SampleGap();
    change(gap);
    return KindOf(DecodeGap(EncodeGap(gap)));
  };
  EXPECT_EQ(with([](Gap&) {}), "");
  EXPECT_EQ(with([](Gap& gap) { gap.to = gap.from; }), "corrupt_gap");
  EXPECT_EQ(with([](Gap& gap) { gap.to = Offset(0); }), "corrupt_gap");
  EXPECT_EQ(with([](Gap& gap) { gap.from = Offset(-1); }), "corrupt_gap");
  EXPECT_EQ(with([](Gap& gap) { gap.reason = static_cast<GapReason>(0); }), "corrupt_gap");
  EXPECT_EQ(with([](Gap& gap) { gap.reason = static_cast<GapReason>(7); }), "corrupt_gap");
  EXPECT_EQ(KindOf(DecodeGap(EncodeGap(SampleGap()) + "x")), "corrupt_gap");
}

}  // namespace
}  // namespace selvage
