#include "fabric/stream/producer_window.h"

#include <gtest/gtest.h>

#include <limits>

namespace selvage {
namespace {

using Verdict = ProducerWindow::Verdict;
constexpr int32_t kMax = std::numeric_limits<int32_t>::max();

/// As SequenceOf makes it of a batch of so many records.
ProducerSequence Sequence(int16_t epoch, int32_t first, int32_t records) {
  BatchHeader header;
  header.producer_id = 7;
  header.producer_epoch = epoch;
  header.base_sequence = first;
  header.last_offset_delta = records - 1;
  return SequenceOf(header);
}

class ProducerWindowTest : public ::testing::Test {
 protected:
  Verdict Judge(int16_t epoch, int32_t first, int32_t records) {
    return window_.Judge(Sequence(epoch, first, records)).verdict;
  }
  void Append(int16_t epoch, int32_t first, int32_t records) {
    const ProducerSequence sequence = Sequence(epoch, first, records);
    EXPECT_EQ(window_.Judge(sequence).verdict, Verdict::kAppend) << first;
    window_.Add(sequence, next_, 1000);
    next_ = next_ + records;
  }

  /// What the producer wrote before.
  void LastWas(int32_t sequence) {
    window_ = ProducerWindow::Restored(0, 1000, {{sequence, sequence, Offset(99)}});
  }

  ProducerWindow window_;
  Offset next_{100};
};

TEST(ProducerSequenceTest, OnlyBatchesOfAProducerAreNumbered) {
  EXPECT_FALSE(SequenceOf(BatchHeader()).numbered());
  EXPECT_TRUE(Sequence(0, 5, 3).numbered());
  EXPECT_EQ(Sequence(0, 5, 3).last, 7);
  EXPECT_EQ(Sequence(0, kMax - 1, 2).last, kMax);
  EXPECT_EQ(Sequence(0, kMax - 1, 3).last, 0);
  EXPECT_EQ(Sequence(0, kMax, 4).last, 2);
}

TEST_F(ProducerWindowTest, AnUnknownProducerBeginsWithItsFirstRecord) {
  EXPECT_EQ(Judge(0, 0, 3), Verdict::kAppend);
  EXPECT_EQ(Judge(9, 1, 3), Verdict::kUnknown);
  EXPECT_EQ(Judge(9, kMax, 1), Verdict::kUnknown);
  EXPECT_EQ(Judge(9, 0, 3), Verdict::kAppend) << "in any epoch";
  Append(9, 0, 3);
  Append(9, 3, 1);
}

TEST_F(ProducerWindowTest, TheLastFiveBatchesAreKnownWhereTheyLie) {
  for (int i = 0; i < 7; ++i) Append(0, 2 * i, 2);
  for (int i = 2; i < 7; ++i) {
    const auto judged = window_.Judge(Sequence(0, 2 * i, 2));
    EXPECT_EQ(judged.verdict, Verdict::kDuplicate) << i;
    EXPECT_EQ(judged.base, Offset(100 + 2 * i));
  }
  EXPECT_EQ(Judge(0, 2, 2), Verdict::kOutOfOrder) << "too old to tell";
  EXPECT_EQ(window_.batches().size(), ProducerWindow::kBatches);
}

TEST_F(ProducerWindowTest, ABatchCutOtherwiseIsNoDuplicate) {
  Append(0, 0, 4);
  EXPECT_EQ(Judge(0, 0, 3), Verdict::kOutOfOrder);
  EXPECT_EQ(Judge(0, 1, 3), Verdict::kOutOfOrder);
  EXPECT_EQ(Judge(0, 0, 5), Verdict::kOutOfOrder);
}

TEST_F(ProducerWindowTest, MissingBatchesAreNotSkipped) {
  Append(0, 0, 4);
  EXPECT_EQ(Judge(0, 5, 1), Verdict::kOutOfOrder);
  EXPECT_EQ(Judge(0, 3, 1), Verdict::kOutOfOrder);
  Append(0, 4, 1);
}

TEST_F(ProducerWindowTest, ANewEpochBeginsAtZeroAndEndsTheOldOne) {
  Append(3, 0, 4);
  EXPECT_EQ(Judge(2, 4, 1), Verdict::kStaleEpoch);
  EXPECT_EQ(Judge(4, 4, 1), Verdict::kOutOfOrder);
  Append(4, 0, 4);
  EXPECT_EQ(window_.Judge(Sequence(4, 0, 4)).base, Offset(104)) << "not the one of the old epoch";
  EXPECT_EQ(Judge(3, 0, 4), Verdict::kStaleEpoch);
  EXPECT_EQ(window_.batches().size(), 1u);
  EXPECT_EQ(window_.epoch(), 4);
}

TEST_F(ProducerWindowTest, SequencesWrapToZero) {
  LastWas(kMax - 4);
  Append(0, kMax - 3, 3);
  Append(0, kMax, 1);
  EXPECT_EQ(Judge(0, 1, 1), Verdict::kOutOfOrder);
  Append(0, 0, 5);
  EXPECT_EQ(Judge(0, kMax, 1), Verdict::kDuplicate);
}

TEST_F(ProducerWindowTest, ABatchMayReachAcrossTheWrap) {
  LastWas(kMax - 2);
  Append(0, kMax - 1, 4);
  EXPECT_EQ(Judge(0, kMax - 1, 4), Verdict::kDuplicate);
  Append(0, 2, 1);
}

}  // namespace
}  // namespace selvage
