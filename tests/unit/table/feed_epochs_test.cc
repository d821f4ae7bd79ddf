#include "fabric/table/feed_epochs.h"

#include <gtest/gtest.h>

#include "tests/support/row_samples.h"

namespace selvage::table {
namespace {

FeedEpochs ThreeEpochs() {
  return FeedEpochs({{samples::Epoch(1), 1}, {samples::Epoch(2), 100}, {samples::Epoch(3), 150}});
}

TEST(FeedEpochsTest, ThePositionOfTheCurrentEpochStands) {
  EXPECT_EQ(ThreeEpochs().Resume(samples::Epoch(3), 170), 170u);
  EXPECT_EQ(ThreeEpochs().current(), samples::Epoch(3));
}

TEST(FeedEpochsTest, WhatWasReadBeyondTheEndOfAnEpochIsReadAgain) {
  EXPECT_EQ(ThreeEpochs().Resume(samples::Epoch(2), 120), 120u);
  EXPECT_EQ(ThreeEpochs().Resume(samples::Epoch(2), 180), 150u) << "the store was restored to 150";
  EXPECT_EQ(ThreeEpochs().Resume(samples::Epoch(1), 180), 100u);
}

TEST(FeedEpochsTest, AnEpochThatIsNotKnownIsReadFromTheBeginning) {
  EXPECT_EQ(ThreeEpochs().Resume(samples::Epoch(9), 5), std::nullopt);
  EXPECT_EQ(FeedEpochs().Resume(samples::Epoch(1), 0), std::nullopt);
  EXPECT_TRUE(FeedEpochs().current().none());
}

TEST(FeedEpochsTest, OnlyTheNewestAreKept) {
  FeedEpochs epochs = ThreeEpochs();
  for (size_t i = 0; i < FeedEpochs::kKept; ++i) epochs.Begin(samples::Epoch(4), 200 + i);
  EXPECT_EQ(epochs.epochs().size(), FeedEpochs::kKept);
  EXPECT_EQ(epochs.Resume(samples::Epoch(3), 170), std::nullopt);
}

}  // namespace
}  // namespace selvage::table
