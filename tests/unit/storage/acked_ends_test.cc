#include "fabric/storage/acked_ends.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "fabric/base/error.h"
#include "tests/support/test_dir.h"

namespace selvage {
namespace {

class AckedEndsTest : public ::testing::Test {
 protected:
  void Replace(const std::string& content) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
  }

  test::TestDir dir_;
  const std::string path_ = dir_.File("acked-ends");
  const AckedEnds ends_ = {{LogNumber(1), Offset(0)}, {LogNumber(7), Offset(int64_t{1} << 40)}};
};

TEST_F(AckedEndsTest, MissingFileIsEmpty) {
  auto ends = ReadAckedEnds(path_);
  ASSERT_TRUE(ends.ok());
  EXPECT_TRUE(ends->empty());
}

TEST_F(AckedEndsTest, ReadsWhatWasWritten) {
  for (const AckedEnds& ends : {AckedEnds(), ends_, AckedEnds{{LogNumber(UINT32_MAX), Offset(5)}}}) {
    ASSERT_TRUE(WriteAckedEnds(path_, ends).ok());
    auto read = ReadAckedEnds(path_);
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, ends);
  }
}

TEST_F(AckedEndsTest, ReadsManyLogs) {
  AckedEnds many;
  for (uint32_t log = 0; log < 20000; ++log) many[LogNumber(log)] = Offset(log * int64_t{1000003});
  ASSERT_TRUE(WriteAckedEnds(path_, many).ok());
  EXPECT_EQ(ReadAckedEnds(path_).value(), many);
}

TEST_F(AckedEndsTest, StoredBytesAreGolden) {
  ASSERT_TRUE(WriteAckedEnds(path_, {{LogNumber(3), Offset(258)}}).ok());
  const std::string content = test::ReadFile(path_);
  EXPECT_EQ(content.substr(0, content.size() - 8), std::string("\0\0\0\1"
                                                               "\0\0\0\1"
                                                               "\0\0\0\3"
                                                               "\0\0\0\0\0\0\1\2",
                                                               20));
  EXPECT_EQ(content.size(), 28u);
}

TEST_F(AckedEndsTest, EveryFlippedByteIsFound) {
  ASSERT_TRUE(WriteAckedEnds(path_, ends_).ok());
  const std::string good = test::ReadFile(path_);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    Replace(bad);
    EXPECT_EQ(ReadAckedEnds(path_).status().code(), absl::StatusCode::kDataLoss) << "byte " << i;
  }
}

TEST_F(AckedEndsTest, EveryTruncationIsFound) {
  ASSERT_TRUE(WriteAckedEnds(path_, ends_).ok());
  const std::string good = test::ReadFile(path_);
  for (size_t size = 0; size < good.size(); ++size) {
    Replace(good.substr(0, size));
    EXPECT_EQ(ReadAckedEnds(path_).status().code(), absl::StatusCode::kDataLoss) << size << " bytes";
  }
  Replace(good + "x");
  EXPECT_EQ(ReadAckedEnds(path_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(AckedEndsTest, AWriteCutShortLeavesTheOldFile) {
  ASSERT_TRUE(WriteAckedEnds(path_, ends_).ok());
  std::ofstream(path_ + ".tmp") << "half of a new fi";
  EXPECT_EQ(ReadAckedEnds(path_).value(), ends_);
  ASSERT_TRUE(WriteAckedEnds(path_, {}).ok());
  EXPECT_TRUE(ReadAckedEnds(path_)->empty());
}

TEST_F(AckedEndsTest, AMissingDirectoryIsAnError) {
  const absl::Status error = WriteAckedEnds(dir_.File("none") + "/acked-ends", ends_);
  EXPECT_EQ(error.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(ErrorHint(error).empty());
}

}  // namespace
}  // namespace selvage
