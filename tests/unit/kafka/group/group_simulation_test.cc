#include <gtest/gtest.h>

#include "tests/unit/kafka/group/group_world.h"

namespace selvage::kafka::group {
namespace {

TEST(GroupSimulation, KeepsItsRulesUnderFaultsAndComesTogetherWithoutThem) {
  int64_t generations = 0;
  int64_t restarts = 0;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    GroupWorld world(seed);
    ASSERT_EQ(world.Run(), "") << "seed " << seed;
    generations += world.generations();
    restarts += world.restarts();
  }
  // The worlds must be eventful for their rules to mean something.
  EXPECT_GT(generations, 5'000);
  EXPECT_GT(restarts, 2'000);
}

}  // namespace
}  // namespace selvage::kafka::group
