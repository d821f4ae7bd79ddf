#include "fabric/table/rows_digest.h"

#include <gtest/gtest.h>

#include "fabric/table/canonical_json.h"

namespace selvage::table {
namespace {

RowDigest VersionOf(char c) {
  return *RowDigest::FromBytes(std::string(16, c));
}

TEST(RowsDigestTest, PartsAddUpToTheWholeInAnyOrder) {
  RowsDigest whole;
  whole.Add("a", VersionOf('1'));
  whole.Add("b", VersionOf('2'));
  whole.Add("c", VersionOf('3'));
  RowsDigest last;
  last.Add("c", VersionOf('3'));
  RowsDigest parts;
  parts.Add("b", VersionOf('2'));
  parts.Add(last);
  parts.Add("a", VersionOf('1'));
  EXPECT_EQ(parts, whole);
  EXPECT_EQ(whole.rows(), 3u);
  EXPECT_EQ(RowsDigest::From(whole.bytes(), 3), whole);
  EXPECT_EQ(RowsDigest::From("short", 3), std::nullopt);
}

TEST(RowsDigestTest, KeysAndVersionsBothCount) {
  RowsDigest one, other, swapped, also;
  one.Add("a", VersionOf('1'));
  one.Add("b", VersionOf('2'));
  other.Add("a", VersionOf('1'));
  other.Add("b", VersionOf('3'));
  swapped.Add("a", VersionOf('2'));
  swapped.Add("b", VersionOf('1'));
  also.Add("a", VersionOf('1'));
  also.Add("c", VersionOf('2'));
  EXPECT_FALSE(one == other);
  EXPECT_FALSE(one == swapped);
  EXPECT_FALSE(one == also);
}

/// The stored digests of two versions of Selvage are compared: it stays as it is.
TEST(RowsDigestTest, GoldenBytes) {
  RowsDigest digest;
  digest.Add("p-7", VersionOf('x'));
  std::string hex;
  for (const char c : digest.bytes()) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 15];
  }
  EXPECT_EQ(hex, "f331d9402b7a5e3ca2f52a69faaf2062");
}

TEST(CutUtf8Test, CutsBetweenCharacters) {
  EXPECT_EQ(CutUtf8("abc", 5), "abc");
  EXPECT_EQ(CutUtf8("abc", 2), "ab");
  EXPECT_EQ(CutUtf8("a\u00e9", 2), "a");
  EXPECT_EQ(CutUtf8("a\u00e9", 3), "a\u00e9");
  EXPECT_EQ(CutUtf8("\U0001F600!", 3), "");
  EXPECT_EQ(CutUtf8("\U0001F600!", 4), "\U0001F600");
}

}  // namespace
}  // namespace selvage::table
