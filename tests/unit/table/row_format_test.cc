#include "fabric/table/row_format.h"

#include <gmock/gmock.h>

#include "fabric/base/error.h"
#include "tests/support/row_samples.h"

namespace selvage::table {
namespace {

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[c & 15];
  }
  return hex;
}

const char kGoldenHex[] =
    "01"                                // format
    "02"                                // 2 stores
    "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"  // 1
    "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"  // 2
    "03"                                // 3 stamps
    "0000000000010000"
    "01"  // 1: 1 ms, store 1
    "0000000000020000"
    "02"  // 2: 2 ms, store 2
    "0000000000030005"
    "01"  // 3: 3 ms, counter 5, store 1
    "03"  // a clear stamp, an expiry
    "01"  // put
    "01"
    "07"
    "00"
    "00"  // stamp 1, sequence 7, written here, replaced nothing
    "01"
    "00000000000f4240"  // at 1,000,000 ms
    "03"
    "ac02"
    "02"
    "00"  // stamp 3, sequence 300, via store 2
    "03"  // 3 fields
    "01"
    "61"  // a
    "01"  // unset
    "02"
    "09"
    "02"
    "01"
    "01"  // stamp 2, sequence 9, via store 2, replaced stamp 1
    "01"
    "62"  // b
    "03"  // a register with a value
    "01"
    "08"
    "00"
    "00"  // stamp 1, sequence 8
    "0a"
    "7b2275223a226261227d"  // {"u":"ba"}
    "01"
    "6e"  // n
    "07"  // a register with a value, and contributions
    "01"
    "0c"
    "00"
    "00"  // stamp 1, sequence 12
    "01"
    "30"  // 0
    "02"  // 2 contributions
    "01"
    "e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1"  // store 1, in that epoch
    "01"                                // on stamp 1
    "01"
    "35"  // 5
    "03"
    "0a"
    "00"
    "00"  // stamp 3, sequence 10
    "02"
    "e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2"  // store 2, in another one
    "01"                                // on stamp 1
    "03"
    "322e35"  // 2.5
    "02"
    "0b"
    "02"
    "00";  // stamp 2, sequence 11, via store 2

TEST(RowFormatTest, GoldenBytes) {
  const std::string bytes = EncodeRow(samples::RowOfAllParts());
  EXPECT_EQ(Hex(bytes), kGoldenHex);
  const auto row = DecodeRow(bytes);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_EQ(EncodeRow(*row), bytes);
  EXPECT_EQ(VisibleJson(*row, 0), R"({"b":{"u":"ba"},"n":7.5})");
}

TEST(RowFormatTest, EmptyRow) {
  EXPECT_EQ(Hex(EncodeRow(Row())), "0100000000");
  EXPECT_TRUE(DecodeRow(EncodeRow(Row())).ok());
}

TEST(RowFormatTest, CutAnywhereIsRefused) {
  const std::string bytes = EncodeRow(samples::RowOfAllParts());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(ErrorKind(DecodeRow(bytes.substr(0, size)).status()), "corrupt_row") << size;
  }
  EXPECT_FALSE(DecodeRow(bytes + '\0').ok());
}

TEST(RowFormatTest, FlippedBitsAreRefusedOrGiveAnotherRow) {
  const std::string bytes = EncodeRow(samples::RowOfAllParts());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto row = DecodeRow(flipped);
    if (row.ok()) {
      EXPECT_EQ(EncodeRow(*row), flipped) << bit;
    }
  }
}

/// A row of one field, with what `spoil` makes of it.
template <class Spoil>
std::string Spoilt(Spoil spoil) {
  Row row = samples::RowOfAllParts();
  spoil(row);
  return ErrorKind(DecodeRow(EncodeRow(row)).status());
}

TEST(RowFormatTest, RowsThatDoNotKeepTheInvariantsAreRefused) {
  EXPECT_EQ(Spoilt([](Row& row) {
              row.fields["b"].set->write.stamp = Stamp{Hlc(1), samples::Store(1)};
            }),
            "corrupt_row");
  EXPECT_EQ(Spoilt([](Row& row) {
              row.expiry->write.stamp = Stamp{Hlc(1), samples::Store(1)};
            }),
            "corrupt_row");
  EXPECT_EQ(Spoilt([](Row& row) { row.fields["x"]; }), "corrupt_row");
  EXPECT_EQ(Spoilt([](Row& row) {
              row.fields["n"].set = Register{std::nullopt, {samples::At(9, 3), {}, 0, {}}};
            }),
            "corrupt_row");
  EXPECT_EQ(Spoilt([](Row& row) { row.fields["\xff"] = row.fields["b"]; }), "corrupt_row");
  EXPECT_EQ(Spoilt([](Row&) {}), "") << "as it was";
  EXPECT_EQ(Spoilt([](Row& row) { row.clear->write.stamp = {}; }), "corrupt_row");
}

TEST(RowFormatTest, LengthsAreNotBelieved) {
  const std::string huge("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
  EXPECT_FALSE(DecodeRow("\x01" + huge).ok());                            // stores
  EXPECT_FALSE(DecodeRow(std::string("\x01\0", 2) + huge).ok());          // stamps
  EXPECT_FALSE(DecodeRow(std::string("\x01\0\0\0", 4) + huge).ok());      // fields
  EXPECT_FALSE(DecodeRow(std::string("\x01\0\0\0\x01", 5) + huge).ok());  // a name
}

TEST(RowFormatTest, NumbersHaveOneForm) {
  EXPECT_TRUE(DecodeRow(std::string("\x01\0\0\0\0", 5)).ok());
  EXPECT_FALSE(DecodeRow(std::string("\x01\x80\0\0\0\0", 6)).ok());
}

}  // namespace
}  // namespace selvage::table
