#include "fabric/storage/blob_collector.h"

#include <gtest/gtest.h>

#include <vector>

namespace selvage::internal {
namespace {

constexpr uint64_t kNoLimit = uint64_t{1} << 40;

/// Files of 100 bytes with so many bytes of garbage each, the oldest first.
std::vector<BlobFile> Files(const std::vector<uint64_t>& garbage) {
  std::vector<BlobFile> files;
  for (uint64_t bytes : garbage) files.push_back({files.size() + 1, 100, bytes});
  return files;
}

TEST(PlanCollectionTest, NothingToGain) {
  EXPECT_EQ(PlanCollection({}, kNoLimit), 0u);
  EXPECT_EQ(PlanCollection(Files({0, 0, 0}), kNoLimit), 0u);
  EXPECT_EQ(PlanCollection(Files({30, 30, 30}), kNoLimit), 0u) << "would copy 70 to free 30";
}

TEST(PlanCollectionTest, TwoInterleavedLogsOfWhichOneIsGone) {
  EXPECT_EQ(PlanCollection(Files({50, 50, 50, 50}), kNoLimit), 4u);
}

TEST(PlanCollectionTest, StopsWhereTheGarbageEnds) {
  EXPECT_EQ(PlanCollection(Files({90, 80, 0, 0, 0}), kNoLimit), 2u);
  EXPECT_EQ(PlanCollection(Files({90, 0, 90, 0, 0}), kNoLimit), 3u)
      << "what lies between comes along when it pays";
  EXPECT_EQ(PlanCollection(Files({0, 0, 0, 90}), kNoLimit), 0u)
      << "old live data is not copied for a young hole";
}

TEST(PlanCollectionTest, CopiesNoMoreThanAllowed) {
  EXPECT_EQ(PlanCollection(Files({50, 50, 50, 50}), 100), 2u);
  EXPECT_EQ(PlanCollection(Files({50, 50}), 49), 0u);
  EXPECT_EQ(PlanCollection(Files({100, 100, 50}), 0), 2u) << "nothing to copy is always allowed";
}

}  // namespace
}  // namespace selvage::internal
