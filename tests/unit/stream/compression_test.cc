// Every codec: what goes in comes out, within the limit, whatever the bytes claim.
#include "fabric/stream/compression.h"

#include <lz4frame.h>

#include "tests/unit/stream/record_batch_samples.h"

namespace selvage {
namespace {

std::string Compress(Codec codec, std::string_view data) {
  std::string out;
  AppendCompressed(codec, data, out);
  return out;
}

/// Text that compresses, and bytes that do not.
std::string Sample(size_t size) {
  std::string data;
  uint32_t state = 1;
  while (data.size() < size) {
    state = state * 1664525 + 1013904223;
    data += (state >> 28) == 0 ? std::string(1, static_cast<char>(state >> 13)) : "temperature=73.96;";
  }
  data.resize(size);
  return data;
}

class CompressionTest : public ::testing::TestWithParam<Codec> {};

INSTANTIATE_TEST_SUITE_P(Codecs, CompressionTest,
                         ::testing::Values(Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd),
                         [](const auto& test) { return std::string(CodecName(test.param)); });

TEST_P(CompressionTest, BytesOfEverySizeComeBackAndTheLimitIsExact) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{65535}, size_t{65536}, size_t{65537},
                      size_t{131072}, size_t{3'000'000}}) {
    const std::string data = Sample(size);
    const std::string compressed = Compress(GetParam(), data);
    EXPECT_LT(compressed.size(), size / 2 + 40);
    for (size_t limit : {size, size + 1, size_t{8} << 20}) {
      const auto back = Decompress(GetParam(), compressed, limit);
      ASSERT_TRUE(back.ok()) << size << " " << limit << " " << back.status();
      EXPECT_TRUE(back->view() == data) << size;
    }
    if (size > 0) {
      EXPECT_EQ(KindOf(Decompress(GetParam(), compressed, size - 1)), "batch_too_large") << size;
      EXPECT_EQ(KindOf(Decompress(GetParam(), compressed, 0)), "batch_too_large") << size;
    }
  }
}

TEST_P(CompressionTest, WhatIsCutOffOrFollowedByMoreIsRefused) {
  const std::string good = Compress(GetParam(), Sample(2000));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(KindOf(Decompress(GetParam(), good.substr(0, size), 1u << 20)), "invalid_record") << size;
  }
  EXPECT_EQ(KindOf(Decompress(GetParam(), good + "x", 1u << 20)), "invalid_record");
  EXPECT_EQ(KindOf(Decompress(GetParam(), "neither of them", 1u << 20)), "invalid_record");
}

TEST_P(CompressionTest, FlippedBitsGiveADefinedResult) {
  const std::string good = Compress(GetParam(), Sample(3000));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string flipped = good;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_THAT(KindOf(Decompress(GetParam(), flipped, 1u << 16)),
                ::testing::AnyOf("", "invalid_record", "batch_too_large"))
        << bit;
  }
}

TEST_P(CompressionTest, ABombIsRefused) {
  const std::string bomb = Compress(GetParam(), std::string(16u << 20, '\0'));
  EXPECT_EQ(KindOf(Decompress(GetParam(), bomb, 4u << 20)), "batch_too_large");
}

TEST_P(CompressionTest, ABatchIsBuiltAndRead) {
  std::vector<Record> records(1000, {Offset(0), 1700000000000, "sensor", "temperature=73.96", {}});
  for (size_t i = 0; i < records.size(); ++i) records[i].offset = Offset(static_cast<int64_t>(i));
  const std::string compressed = BuildBatch(records, GetParam());
  EXPECT_LT(compressed.size() * 4, BuildBatch(records).size());
  const auto header = ValidateProducedBatch(compressed, compressed.size());
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(static_cast<Codec>(header->codec_bits()), GetParam());
  EXPECT_EQ(header->record_count, 1000);
  const auto decoded = DecodeRecords(compressed);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == records);
}

TEST(GzipTest, MembersThatFollowOneAnotherAreReadAsOne) {
  const auto back =
      Decompress(Codec::kGzip, Compress(Codec::kGzip, "one, ") + Compress(Codec::kGzip, "two"), 8);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->view(), "one, two");
}

/// As Java's snappy writes it.
std::string Framed(const std::vector<std::string>& blocks) {
  std::string out("\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
  for (const std::string& block : blocks) {
    const std::string compressed = Compress(Codec::kSnappy, block);
    AppendBig<int32_t>(out, static_cast<int32_t>(compressed.size()));
    out += compressed;
  }
  return out;
}

TEST(SnappyTest, BlocksInJavasFramingAreRead) {
  const std::string large = Sample(100'000);
  for (const auto& blocks : std::vector<std::vector<std::string>>{{}, {"a"}, {"a", large, "", "z"}}) {
    std::string whole;
    for (const std::string& block : blocks) whole += block;
    const auto back = Decompress(Codec::kSnappy, Framed(blocks), whole.size());
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_TRUE(back->view() == whole);
  }
  const auto two = Decompress(Codec::kSnappy, Framed({"one, "}) + Framed({"two"}), 8);
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(two->view(), "one, two");
}

TEST(SnappyTest, TheLimitHoldsForAllBlocksTogether) {
  const std::string framed = Framed({Sample(600), Sample(600)});
  EXPECT_EQ(KindOf(Decompress(Codec::kSnappy, framed, 1200)), "");
  EXPECT_EQ(KindOf(Decompress(Codec::kSnappy, framed, 1199)), "batch_too_large");
}

TEST(SnappyTest, DamagedFramingIsRefused) {
  const std::string framed = Framed({Sample(600)});
  for (size_t size : {size_t{9}, size_t{17}, size_t{19}, size_t{20}, framed.size() - 1}) {
    EXPECT_EQ(KindOf(Decompress(Codec::kSnappy, framed.substr(0, size), 1200)), "invalid_record") << size;
  }
  std::string empty_block = framed;
  StoreBig<int32_t>(empty_block.data() + 16, 0);
  EXPECT_EQ(KindOf(Decompress(Codec::kSnappy, empty_block, 1200)), "invalid_record");
  std::string claims_more = framed;
  StoreBig<int32_t>(claims_more.data() + 16, -1);
  EXPECT_EQ(KindOf(Decompress(Codec::kSnappy, claims_more, 1200)), "invalid_record");
}

TEST(Lz4Test, JavaCanReadTheFrames) {
  const std::string frame = Compress(Codec::kLz4, Sample(300'000));
  const auto flags = static_cast<uint8_t>(frame[4]);
  EXPECT_EQ(flags >> 6, 1) << "version";
  EXPECT_EQ(flags & 0x20, 0x20) << "blocks are independent";
  EXPECT_EQ(flags & 0x03, 0) << "no dictionary";
}

TEST(Lz4Test, BlocksThatDependOnEachOtherAreRead) {
  const std::string data = Sample(300'000);
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockMode = LZ4F_blockLinked;
  preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
  std::string frame(LZ4F_compressFrameBound(data.size(), &preferences), '\0');
  frame.resize(LZ4F_compressFrame(frame.data(), frame.size(), data.data(), data.size(), &preferences));
  const auto back = Decompress(Codec::kLz4, frame + frame, 2 * data.size());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(back->view() == data + data);
}

}  // namespace
}  // namespace selvage
