#include "tests/support/test_dir.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/process.h"

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

// Not a test of its own: the one below runs it in another process.
TEST(FailingTest, DISABLED_WithADirectory) {
  TestDir dir;
  std::ofstream(dir.File("evidence")) << "text";
  FAIL();
}

TEST(TestDirTest, IsKeptAndNamedWhenTheTestFails) {
  const TestDir dir;
  const auto failed = RunProgram(
      {.args = {"/proc/self/exe", "--gtest_also_run_disabled_tests", "--gtest_filter=FailingTest.*"},
       .environment = {{"TMPDIR", dir.path()}, {"GTEST_TOTAL_SHARDS", "1"}, {"GTEST_SHARD_INDEX", "0"}}});
  ASSERT_TRUE(failed.ok()) << failed.status();
  EXPECT_EQ(failed->exit.code, 1);
  const std::filesystem::directory_iterator entries(dir.path());
  ASSERT_NE(entries, std::filesystem::directory_iterator());
  const std::string kept = entries->path().string();
  EXPECT_EQ(ReadFile(kept + "/evidence"), "text");
  EXPECT_NE(failed->err.find(kept), std::string::npos) << failed->err;
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
