#include "fabric/base/crc32c.h"

#include <gtest/gtest.h>
#include <isa-l/crc.h>

#include <string>

namespace selvage {
namespace {

TEST(Crc32cTest, MatchesPublishedValues) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  // RFC 3720, appendix B.4
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising;
  for (char c = 0; c < 32; ++c) rising.push_back(c);
  EXPECT_EQ(Crc32c(rising), 0x46dd794eu);
}

TEST(Crc32cTest, GoesOnWhereItStopped) {
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes.push_back(static_cast<char>(i * 7 + i / 256));
  const uint32_t whole = Crc32c(bytes);
  for (size_t cut : {0, 1, 63, 64, 1000, 4999, 5000}) {
    const std::string_view view(bytes);
    EXPECT_EQ(ExtendCrc32c(Crc32c(view.substr(0, cut)), view.substr(cut)), whole) << cut;
  }
}

TEST(Crc32cTest, TheProcessorsInstructionsAndTheTableAreBothRight) {
  EXPECT_TRUE(internal::AnswersAreRight(&crc32_iscsi));
  EXPECT_TRUE(internal::AnswersAreRight(&crc32_iscsi_base));
  EXPECT_TRUE(Crc32cIsTrusted());
}

unsigned int WrongForLargePieces(unsigned char* bytes, int size, unsigned int crc) {
  return crc32_iscsi_base(bytes, size, crc) ^ (size > 2000 ? 1u : 0u);
}

TEST(Crc32cTest, AFunctionThatFailsForSomeSizesIsNotTrusted) {
  EXPECT_FALSE(internal::AnswersAreRight(&WrongForLargePieces));
}

}  // namespace
}  // namespace selvage
