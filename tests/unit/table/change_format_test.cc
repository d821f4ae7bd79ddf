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
  writer.Add({"k", ADelete(), true, true});
  EXPECT_EQ(HexOfBytes(ChangesBody({samples::Epoch(0xe1), 70}, 80, std::move(writer).Take())),
            "e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1"  // how far the source had read
            "0000000000000046"
            "0000000000000050"      // where its own feed ended
            "03000000016b00000023"  // known and waiting, key and size of the row
            "01010a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
            "01000000000001000001010001000000"
            "00");
}

TEST(ChangeFormatTest, AnIntervalHasItsGoldenBytes) {
  EXPECT_EQ(HexOfBytes(IntervalBody("m", {samples::Epoch(0xe1), 70}, 80, "")),
            "01"
            "e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1"
            "0000000000000046"
            "0000000000000050"
            "00000001"
            "6d");
  EXPECT_EQ(HexOfBytes(IntervalBody(std::nullopt, {samples::Epoch(0xe1), 70}, 80, "")),
            "00"
            "e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1"
            "0000000000000046"
            "0000000000000050"
            "00000000");
}

TEST(ChangeFormatTest, WhatIsWrittenIsReadAgain) {
  ChangesWriter writer;
  writer.Add({"a", WholeRow(samples::RowOfAllParts())});
  writer.Add({"b", ADelete(), true});
  const std::string body = std::move(writer).Take();
  const auto changes = ReadChangesBody(ChangesBody({samples::Epoch(2), 5}, 8, body));
  ASSERT_TRUE(changes.ok());
  EXPECT_EQ(changes->seen, (FeedPosition{samples::Epoch(2), 5}));
  EXPECT_EQ(changes->source_end, 8u);
  ASSERT_THAT(changes->rows, SizeIs(2));
  EXPECT_EQ(changes->rows[0].key, "a");
  EXPECT_FALSE(changes->rows[0].known);
  EXPECT_TRUE(changes->rows[1].known);
  EXPECT_EQ(EncodeRow(changes->rows[0].change), EncodeRow(WholeRow(samples::RowOfAllParts())));
  const auto interval = ReadIntervalBody(IntervalBody("c", {samples::Epoch(1), 9}, 11, body));
  ASSERT_TRUE(interval.ok());
  EXPECT_EQ(interval->upto, "c");
  EXPECT_EQ(interval->feed, (FeedPosition{samples::Epoch(1), 9}));
  EXPECT_EQ(interval->source_end, 11u);
  EXPECT_THAT(interval->rows, SizeIs(2));
  EXPECT_THAT(ReadChangesBody(ChangesBody({}, 0, ""))->rows, IsEmpty()) << "an entry that only advances";
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
  writer.Add({"k", ADelete()});
  const std::string body = std::move(writer).Take();
  for (size_t size = 1; size < body.size(); ++size) {
    EXPECT_EQ(ErrorKind(ReadRows(body.substr(0, size)).status()), "corrupt_changes") << size;
  }
  EXPECT_EQ(ErrorKind(ReadRows("\4" + body.substr(1)).status()), "corrupt_changes") << "unknown flags";
  EXPECT_EQ(ErrorKind(ReadChangesBody("").status()), "corrupt_changes");
  ChangesWriter empty_key;
  empty_key.Add({"", ADelete()});
  EXPECT_EQ(ErrorKind(ReadRows(std::move(empty_key).Take()).status()), "invalid_key");
  const std::string interval = IntervalBody("m", {samples::Epoch(1), 1}, 1, body);
  for (size_t size = 0; size < interval.size(); ++size) {
    // Cut right behind its head it is an interval without rows.
    if (size == interval.size() - body.size()) continue;
    EXPECT_FALSE(ReadIntervalBody(interval.substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace selvage::table
