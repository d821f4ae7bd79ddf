#include "fabric/model/digest.h"

#include <gtest/gtest.h>

namespace selvage::model {
namespace {

TEST(DigestTest, IsSha256) {
  // FIPS 180-4, examples.
  EXPECT_EQ(Digest::Of("abc").Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Digest::Of("").Hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(DigestTest, PiecesHaveTheDigestOfTheWhole) {
  Hasher hasher;
  for (const std::string_view piece : {"a", "", "bc"}) hasher.Add(piece);
  EXPECT_EQ(hasher.Finish(), Digest::Of("abc"));
}

TEST(DigestTest, IsReadBackAndNothingElse) {
  const Digest digest = Digest::Of("abc");
  EXPECT_EQ(Digest::FromBytes(digest.bytes()), digest);
  EXPECT_EQ(Digest::FromHex(digest.Hex()), digest);
  EXPECT_EQ(Digest::FromBytes("abc"), std::nullopt);
  EXPECT_EQ(Digest::FromHex(digest.Hex().substr(1)), std::nullopt);
  std::string other = digest.Hex();
  other[5] = 'G';
  EXPECT_EQ(Digest::FromHex(other), std::nullopt);
}

}  // namespace
}  // namespace selvage::model
