#include "fabric/kafka/handlers/refused_batches.h"

#include <gtest/gtest.h>

#include "tests/contract/log/log_node.h"

namespace selvage::kafka {
namespace {

ProducerSequence BatchAt(int32_t first, int16_t epoch = 0, int64_t producer = 7) {
  return {.producer = producer, .epoch = epoch, .first = first, .last = first};
}

class RefusedBatchesTest : public testing::Test {
 protected:
  bool IsBehind(const ProducerSequence& batch) { return refused_.IsBehind("t", 0, batch); }
  void Refuse(const ProducerSequence& batch) { refused_.Refused("t", 0, batch); }

  FakeClock clock_;
  RefusedBatches refused_{clock_};
};

TEST_F(RefusedBatchesTest, WhatFollowsARefusedBatchIsBehindItUntilItIsTaken) {
  EXPECT_FALSE(IsBehind(BatchAt(6)));
  Refuse(BatchAt(5));
  EXPECT_TRUE(IsBehind(BatchAt(6)));
  EXPECT_TRUE(IsBehind(BatchAt(9)));
  EXPECT_FALSE(IsBehind(BatchAt(5)));
  EXPECT_FALSE(IsBehind(BatchAt(4)));
  refused_.Taken("t", 0, BatchAt(4));
  EXPECT_TRUE(IsBehind(BatchAt(6)));
  refused_.Taken("t", 0, BatchAt(5));
  EXPECT_FALSE(IsBehind(BatchAt(6)));
  EXPECT_EQ(refused_.size(), 0u);
}

TEST_F(RefusedBatchesTest, TheEarliestCounts) {
  Refuse(BatchAt(5));
  Refuse(BatchAt(6));
  EXPECT_TRUE(IsBehind(BatchAt(6)));
  Refuse(BatchAt(3));
  EXPECT_TRUE(IsBehind(BatchAt(5)));
}

TEST_F(RefusedBatchesTest, OthersAreNotBehindIt) {
  Refuse(BatchAt(5));
  EXPECT_FALSE(IsBehind(BatchAt(6, /*epoch=*/1)));
  EXPECT_FALSE(IsBehind(BatchAt(6, 0, /*producer=*/8)));
  EXPECT_FALSE(refused_.IsBehind("t", 1, BatchAt(6)));
  EXPECT_FALSE(refused_.IsBehind("u", 0, BatchAt(6)));
  Refuse(BatchAt(0, 1));
  EXPECT_TRUE(IsBehind(BatchAt(6, 1)));
  EXPECT_FALSE(IsBehind(BatchAt(6)));
}

TEST_F(RefusedBatchesTest, SequencesWrap) {
  Refuse(BatchAt(INT32_MAX));
  EXPECT_TRUE(IsBehind(BatchAt(0)));
  EXPECT_FALSE(IsBehind(BatchAt(INT32_MAX - 1)));
  refused_.Taken("t", 0, BatchAt(INT32_MAX));
  Refuse(BatchAt(1));
  EXPECT_FALSE(IsBehind(BatchAt(INT32_MAX)));
}

TEST_F(RefusedBatchesTest, OneThatDoesNotComeAgainWasGivenUp) {
  Refuse(BatchAt(5));
  clock_.Advance(RefusedBatches::kWait / 2);
  Refuse(BatchAt(6));
  Refuse(BatchAt(5));
  clock_.Advance(RefusedBatches::kWait / 2);
  EXPECT_TRUE(IsBehind(BatchAt(6)));
  clock_.Advance(RefusedBatches::kWait / 2);
  EXPECT_FALSE(IsBehind(BatchAt(6)));
  Refuse(BatchAt(6));
  EXPECT_TRUE(IsBehind(BatchAt(7)));
}

TEST_F(RefusedBatchesTest, AreBounded) {
  for (size_t i = 0; i < RefusedBatches::kMax; ++i) Refuse(BatchAt(0, 0, static_cast<int64_t>(i)));
  Refuse(BatchAt(0, 0, 1 << 20));
  EXPECT_EQ(refused_.size(), RefusedBatches::kMax);
  EXPECT_FALSE(IsBehind(BatchAt(1, 0, 1 << 20)));
  clock_.Advance(RefusedBatches::kWait);
  Refuse(BatchAt(0, 0, 1 << 20));
  EXPECT_EQ(refused_.size(), 1u);
  EXPECT_TRUE(IsBehind(BatchAt(1, 0, 1 << 20)));
}

}  // namespace
}  // namespace selvage::kafka
