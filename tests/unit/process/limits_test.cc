#include "fabric/process/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"

namespace selvage {
namespace {

TEST(Limits, ThreadsThatTheSystemGivesAreEnough) {
  EXPECT_TRUE(CheckThreads(8).ok());
}

TEST(Limits, SaysWhichAreInForce) {
  EXPECT_THAT(LimitsInForce(), ::testing::Not(::testing::IsEmpty()));
}

}  // namespace
}  // namespace selvage
