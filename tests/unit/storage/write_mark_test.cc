#include "fabric/storage/write_mark.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/test_dir.h"

namespace selvage {
namespace {

class WriteMarkTest : public ::testing::Test {
 protected:
  void Replace(const std::string& content) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
  }

  test::TestDir dir_;
  const std::string path_ = dir_.File("newest-writes");
  const WriteMark mark_ = {{{"alarms", 258}, {"group a", 7}}, 3};
};

TEST_F(WriteMarkTest, ReadsWhatWasWritten) {
  EXPECT_EQ(ReadWriteMark(path_).value(), WriteMark()) << "without a file";
  for (const WriteMark& mark : {mark_, WriteMark()}) {
    ASSERT_TRUE(StoreWriteMark(path_, mark).ok());
    EXPECT_EQ(ReadWriteMark(path_).value(), mark);
  }
}

TEST_F(WriteMarkTest, StoredBytesAreGolden) {
  ASSERT_TRUE(StoreWriteMark(path_, {{{"ab", 258}}, 3}).ok());
  const std::string content = test::ReadFile(path_);
  EXPECT_EQ(content.substr(0, content.size() - 8), std::string("\0\0\0\1"
                                                               "\0\0\0\0\0\0\0\3"
                                                               "\0\0\0\1"
                                                               "\0\0\0\0\0\0\1\2"
                                                               "\0\2"
                                                               "ab",
                                                               28));
}

TEST_F(WriteMarkTest, EveryFlippedByteAndEveryTruncationIsFound) {
  ASSERT_TRUE(StoreWriteMark(path_, mark_).ok());
  const std::string good = test::ReadFile(path_);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string flipped = good;
    flipped[i] = static_cast<char>(flipped[i] ^ 1);
    Replace(flipped);
    EXPECT_EQ(ReadWriteMark(path_).status().code(), absl::StatusCode::kDataLoss) << "byte " << i;
    Replace(good.substr(0, i));
    EXPECT_EQ(ReadWriteMark(path_).status().code(), absl::StatusCode::kDataLoss) << i << " bytes";
  }
}

}  // namespace
}  // namespace selvage
