// Decompression of what a hostile or careless producer compressed.
#include <zstd.h>

#include "tests/unit/stream/record_batch_samples.h"

namespace selvage {
namespace {

/// A batch that announces `count` records and holds this as its zstd data.
std::string ZstdBatch(int32_t count, std::string_view compressed) {
  std::string batch = BuildBatch({{Offset(0), 0, "k", "v", {}}}, Codec::kZstd).substr(0, kBatchHeaderSize);
  batch.append(compressed);
  StoreBig<int32_t>(batch.data() + 23, count - 1);
  StoreBig<int32_t>(batch.data() + 57, count);
  return Reseal(std::move(batch));
}

std::string Compress(std::string_view data, bool state_size, int window_log = 0) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, state_size ? 1 : 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  std::string out(ZSTD_compressBound(data.size()), '\0');
  const size_t size = ZSTD_compress2(context, out.data(), out.size(), data.data(), data.size());
  ZSTD_freeCCtx(context);
  EXPECT_FALSE(ZSTD_isError(size)) << ZSTD_getErrorName(size);
  out.resize(size);
  return out;
}

std::vector<Record> OneLargeRecord(size_t size) {
  return {{Offset(0), 0, std::nullopt, std::string(size, 'z'), {}}};
}

/// The uncompressed records of a batch of these.
std::string RecordBytes(const std::vector<Record>& records) {
  return BuildBatch(records).substr(kBatchHeaderSize);
}

TEST(RecordBatchZstdTest, TheLimitIsExact) {
  for (size_t size : {size_t{10}, size_t{65536}, size_t{3'000'000}}) {
    const std::string plain = RecordBytes(OneLargeRecord(size));
    for (bool state_size : {true, false}) {
      const std::string batch = ZstdBatch(1, Compress(plain, state_size));
      EXPECT_EQ(KindOf(DecodeRecords(batch, plain.size())), "") << size << state_size;
      EXPECT_EQ(KindOf(DecodeRecords(batch, plain.size() - 1)), "batch_too_large") << size << state_size;
      EXPECT_EQ(KindOf(DecodeRecords(batch, 1)), "batch_too_large") << size << state_size;
      EXPECT_EQ(KindOf(DecodeRecords(batch, 0)), "batch_too_large") << size << state_size;
    }
  }
}

TEST(RecordBatchZstdTest, TheLimitHoldsWithoutCompressionToo) {
  const std::string batch = BuildBatch(SampleRecords());
  EXPECT_EQ(KindOf(DecodeRecords(batch, batch.size() - kBatchHeaderSize)), "");
  EXPECT_EQ(KindOf(DecodeRecords(batch, batch.size() - kBatchHeaderSize - 1)), "batch_too_large");
}

TEST(RecordBatchZstdTest, ABombIsRefused) {
  const std::string plain = RecordBytes(OneLargeRecord(100u << 20));
  for (bool state_size : {true, false}) {
    const std::string batch = ZstdBatch(1, Compress(plain, state_size));
    ASSERT_LT(batch.size(), 20'000u);
    EXPECT_EQ(KindOf(DecodeRecords(batch)), "batch_too_large");
  }
}

TEST(RecordBatchZstdTest, ALieAboutTheSizeIsSafe) {
  const std::string plain = RecordBytes(OneLargeRecord(1'000'000));
  std::string compressed = Compress(plain, true);
  // Frame header: four bytes of magic; the descriptor, whose top bits 10 announce a size of four bytes and
  // whose next bit says that no window byte comes before it.
  ASSERT_EQ(static_cast<uint8_t>(compressed[4]) & 0xe0, 0xa0);
  const auto kind_when_claiming = [&](const char(&little_endian)[5]) {
    compressed.replace(5, 4, little_endian, 4);
    return KindOf(DecodeRecords(ZstdBatch(1, compressed), 16u << 20));
  };
  EXPECT_EQ(kind_when_claiming("\xff\xff\xff\xff"), "batch_too_large");
  EXPECT_EQ(kind_when_claiming("\x00\x00\x00\x01"), "invalid_record");  // 16 MiB
  EXPECT_THAT(kind_when_claiming("\x01\x00\x00\x00"), ::testing::AnyOf("invalid_record", "batch_too_large"));
  EXPECT_THAT(kind_when_claiming("\x00\x00\x00\x00"), ::testing::AnyOf("invalid_record", "batch_too_large"));
}

TEST(RecordBatchZstdTest, SeveralFramesAndEmptyOnesAreReadAsOne) {
  const std::vector<Record> records = OneLargeRecord(200'000);
  const std::string plain = RecordBytes(records);
  const std::string skippable("\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11);
  const std::string frames = skippable + Compress("", true) + Compress(plain.substr(0, 1000), true) +
                             Compress(plain.substr(1000), false) + skippable;
  const auto decoded = DecodeRecords(ZstdBatch(1, frames));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == records);
}

TEST(RecordBatchZstdTest, ALargeWindowIsReadableWithinASmallLimit) {
  const std::vector<Record> records = OneLargeRecord(5000);
  const auto decoded = DecodeRecords(ZstdBatch(1, Compress(RecordBytes(records), false, 27)), 8192);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == records);
}

TEST(RecordBatchZstdTest, GarbageIsAnInvalidRecord) {
  const std::string good = Compress(RecordBytes(SampleRecords()), true);
  for (const std::string& bytes :
       {std::string(), std::string("not zstd at all"), good + "x", good.substr(0, 4), Compress("", true)}) {
    EXPECT_EQ(KindOf(DecodeRecords(ZstdBatch(4, bytes))), "invalid_record");
  }
  EXPECT_EQ(KindOf(DecodeRecords(ZstdBatch(3, good))), "invalid_record");
  EXPECT_EQ(KindOf(DecodeRecords(ZstdBatch(5, good))), "invalid_record");
  EXPECT_EQ(KindOf(DecodeRecords(ZstdBatch(4, good))), "");
}

}  // namespace
}  // namespace selvage
