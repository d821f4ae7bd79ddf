#include "tests/support/test_dir.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace selvage::test {
namespace {

TEST(TestDirTest, IsRemovedWithAllItHolds) {
  std::string path;
  {
    TestDir dir;
    path = dir.path();
    EXPECT_EQ(dir.File("a"), path + "/a");
    std::filesystem::create_directory(dir.File("inner"));
    std::ofstream(dir.File("inner/file")) << "text";
    EXPECT_EQ(ReadFile(dir.File("inner/file")), "text");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(TestDirTest, TwoNeverShareAPlace) {
  TestDir one;
  TestDir two;
  EXPECT_NE(one.path(), two.path());
}

TEST(TestDirTest, AFileThatIsNotThereReadsAsEmpty) {
  TestDir dir;
  EXPECT_EQ(ReadFile(dir.File("missing")), "");
}

}  // namespace
}  // namespace selvage::test
