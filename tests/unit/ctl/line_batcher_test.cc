#include "ctl/line_batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

using testing::ElementsAre;

constexpr absl::Duration kNow = absl::Seconds(100);
const absl::Time kWall = absl::FromUnixMillis(1772366400123);

TEST(LineBatcherTest, IsFullByCount) {
  LineBatcher batcher({.max_records = 2});
  ASSERT_TRUE(batcher.Add("a", kWall, kNow).ok());
  EXPECT_FALSE(batcher.full());
  ASSERT_TRUE(batcher.Add("b", kWall, kNow).ok());
  EXPECT_TRUE(batcher.full());
  LineBatch batch = batcher.Take();
  EXPECT_EQ(batch.records(), 2);
  EXPECT_EQ(batch.value_bytes, 2u);
  EXPECT_TRUE(batcher.empty());
  EXPECT_FALSE(batcher.full());
}

TEST(LineBatcherTest, IsFullByBytesAndTakesALargerLineAlone) {
  LineBatcher batcher({.max_bytes = 200});
  ASSERT_TRUE(batcher.Add("short", kWall, kNow).ok());
  EXPECT_FALSE(batcher.full());
  ASSERT_TRUE(batcher.Add(std::string(1000, 'x'), kWall, kNow).ok());
  EXPECT_TRUE(batcher.full());
  EXPECT_EQ(batcher.Take().records(), 2);
}

TEST(LineBatcherTest, IsDueALingerAfterItsFirstLine) {
  LineBatcher batcher({.linger = absl::Milliseconds(100)});
  EXPECT_FALSE(batcher.due());
  ASSERT_TRUE(batcher.Add("a", kWall, kNow).ok());
  ASSERT_TRUE(batcher.Add("b", kWall, kNow + absl::Milliseconds(90)).ok());
  EXPECT_EQ(*batcher.due(), kNow + absl::Milliseconds(100));
  batcher.Take();
  EXPECT_FALSE(batcher.due());
}

TEST(LineBatcherTest, RecordsAreTheLinesWithTimesAndKeys) {
  LineBatcher batcher({.codec = Codec::kZstd, .key_separator = "::"});
  ASSERT_TRUE(batcher.Add("k::v::w", kWall, kNow).ok());
  ASSERT_TRUE(batcher.Add("::", kWall, kNow).ok());
  EXPECT_EQ(ErrorKind(batcher.Add("no key", kWall, kNow)), "no_key");
  LineBatch batch = batcher.Take();
  EXPECT_TRUE(ValidateProducedBatch(batch.bytes, 1 << 20).ok());
  absl::StatusOr<std::vector<Record>> records = DecodeRecords(batch.bytes);
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ(records->at(0).key, "k");
  EXPECT_EQ(records->at(0).value, "v::w");
  EXPECT_EQ(records->at(0).timestamp, 1772366400123);
  EXPECT_EQ(records->at(1).key, "");
  EXPECT_EQ(records->at(1).value, "");
}

TEST(LineBatcherTest, HashesAreThoseOfTheValuesAlone) {
  LineBatcher batcher({.key = "fixed"});
  ASSERT_TRUE(batcher.Add("", kWall, kNow).ok());
  // The XXH3-64 of no bytes, as its specification gives it.
  EXPECT_THAT(batcher.Take().value_hashes, ElementsAre(0x2d06800538d394c2u));
}

}  // namespace
}  // namespace selvage::ctl
