#include "fabric/table/change_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "fabric/base/error.h"
#include "fabric/table/row_format.h"
#include "tests/support/row_samples.h"

namespace selvage::table {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string HexOfBytes(const std::string& bytes) {
  return absl::BytesToHexString(bytes);
}
Change ADelete() {
  return WholeRow(Row{.clear = Clear{ClearKind::kDelete, {samples::At(1, 0x0a), {}, 7, samples::Store(2)}},
                      .expiry = {},
                      .fields = {}});
}

TEST(ChangeFormatTest, ChangesHaveTheirGoldenBytes) {
  ChangesWriter writer;
  writer.Add("k", ADelete());
  EXPECT_EQ(HexOfBytes(std::move(writer).Take()),
            "000000016b00000023"  // key and size of the row
            "01010a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
            "01000000000001000001010001000000"
            "00");
}

TEST(ChangeFormatTest, AnIntervalHasItsGoldenBytes) {
  EXPECT_EQ(HexOfBytes(IntervalBody("m", {samples::Epoch(0xe1), 70}, "")),
            "01"
            "e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1"
            "0000000000000046"
            "00000001"
            "6d");
  EXPECT_EQ(HexOfBytes(IntervalBody(std::nullopt, {samples::Epoch(0xe1), 70}, "")),
            "00"
            "e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1"
            "0000000000000046"
            "00000000");
}

TEST(ChangeFormatTest, WhatIsWrittenIsReadAgain) {
  ChangesWriter writer;
  writer.Add("a", WholeRow(samples::RowOfAllParts()));
  writer.Add("b", ADelete());
  const std::string body = std::move(writer).Take();
  const auto changes = ReadChangesBody(body);
  ASSERT_TRUE(changes.ok());
  ASSERT_THAT(*changes, SizeIs(2));
  EXPECT_EQ((*changes)[0].key, "a");
  EXPECT_EQ(EncodeRow((*changes)[0].change), EncodeRow(WholeRow(samples::RowOfAllParts())));
  const auto interval = ReadIntervalBody(IntervalBody("c", {samples::Epoch(1), 9}, body));
  ASSERT_TRUE(interval.ok());
  EXPECT_EQ(interval->upto, "c");
  EXPECT_EQ(interval->feed, (FeedPosition{samples::Epoch(1), 9}));
  EXPECT_THAT(interval->rows, SizeIs(2));
  EXPECT_THAT(*ReadChangesBody(""), IsEmpty()) << "an entry that only advances";
}

TEST(ChangeFormatTest, WhatBelongsToOneCopyIsNotSent) {
  const Change sent = WholeRow(samples::RowOfAllParts());
  EXPECT_EQ(sent.expiry->write.sequence, 0u);
  EXPECT_TRUE(sent.fields.at("a").set->write.via.none());
  EXPECT_EQ(sent.fields.at("a").set->write.replaced.size(), 1u) << "what the writer saw is";
}

TEST(ChangeFormatTest, PartsOfOneSequenceAreSentButNotBack) {
  const Row row = samples::RowOfAllParts();
  const auto parts = PartsAt(row, 9, StoreId());
  ASSERT_TRUE(parts);
  EXPECT_FALSE(parts->clear || parts->expiry);
  EXPECT_THAT(parts->fields, SizeIs(1));
  EXPECT_FALSE(PartsAt(row, 9, samples::Store(0x0b))) << "it came from there";
  EXPECT_TRUE(PartsAt(row, 9, samples::Store(0x0c)));
  EXPECT_FALSE(PartsAt(row, 99, StoreId()));
}

TEST(ChangeFormatTest, BrokenBytesAreRefused) {
  ChangesWriter writer;
  writer.Add("k", ADelete());
  const std::string body = std::move(writer).Take();
  for (size_t size = 1; size < body.size(); ++size) {
    EXPECT_EQ(ErrorKind(ReadChangesBody(body.substr(0, size)).status()), "corrupt_changes") << size;
  }
  ChangesWriter empty_key;
  empty_key.Add("", ADelete());
  EXPECT_EQ(ErrorKind(ReadChangesBody(std::move(empty_key).Take()).status()), "invalid_key");
  const std::string interval = IntervalBody("m", {samples::Epoch(1), 1}, body);
  for (size_t size = 0; size < interval.size(); ++size) {
    // Cut right behind its head it is an interval without rows.
    if (size == interval.size() - body.size()) continue;
    EXPECT_FALSE(ReadIntervalBody(interval.substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace selvage::table
