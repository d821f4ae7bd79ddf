#include "tests/support/record_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace selvage::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

AckedRecord Record(int64_t offset, const std::string& edge = "rig-1", int32_t partition = 0) {
  const std::string value = edge + "/" + std::to_string(partition) + "/" + std::to_string(offset);
  return {edge, "sensors", PartitionId(partition), Offset(offset), HashOfRecord(offset, "key", value)};
}

// Ten acknowledged records of one partition, and the same ten found.
class RecordCheckerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int64_t offset = 0; offset < 10; ++offset) {
      checker_.Add(Record(offset));
      found_.push_back(Record(offset));
    }
  }
  CheckReport Check() const { return checker_.Check(found_); }

  RecordChecker checker_;
  std::vector<FoundRecord> found_;
};

TEST_F(RecordCheckerTest, EverythingOnceInOrderIsGood) {
  const CheckReport report = Check();
  EXPECT_TRUE(report.ok()) << report.Describe();
  EXPECT_EQ(report.acked, 10u);
  EXPECT_EQ(report.found, 10u);
  EXPECT_EQ(report.unacknowledged, 0u);
}

TEST_F(RecordCheckerTest, FindsLosses) {
  found_.erase(found_.begin() + 7);
  found_.erase(found_.begin() + 2);
  const CheckReport report = Check();
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(report.lost, ElementsAre(Record(2), Record(7)));
  EXPECT_THAT(report.reordered, IsEmpty());
}

TEST_F(RecordCheckerTest, FindsALossWhenNothingOfThePartitionIsThere) {
  checker_.Add(Record(0, "rig-2"));
  EXPECT_THAT(Check().lost, ElementsAre(Record(0, "rig-2")));
}

TEST_F(RecordCheckerTest, FindsDuplicatesNextToEachOtherAndFarApart) {
  found_.insert(found_.begin() + 3, Record(3));
  found_.push_back(Record(5));
  const CheckReport report = Check();
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(report.duplicated, ElementsAre(Record(3), Record(5)));
  EXPECT_THAT(report.reordered, IsEmpty());
  EXPECT_THAT(report.lost, IsEmpty());
}

TEST_F(RecordCheckerTest, FindsSwaps) {
  std::swap(found_[4], found_[5]);
  const CheckReport report = Check();
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(report.reordered, ElementsAre(Record(4)));
  EXPECT_THAT(report.duplicated, IsEmpty());
  EXPECT_THAT(report.different, IsEmpty());
}

TEST_F(RecordCheckerTest, NamesAllThatComeTooLate) {
  std::rotate(found_.begin() + 2, found_.begin() + 5, found_.begin() + 6);
  EXPECT_THAT(Check().reordered, ElementsAre(Record(2), Record(3), Record(4)));
}

TEST_F(RecordCheckerTest, FindsChangedBytes) {
  found_[6].hash ^= 1;
  const CheckReport report = Check();
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(report.different, ElementsAre(found_[6]));
  EXPECT_THAT(report.lost, IsEmpty());
}

TEST_F(RecordCheckerTest, FindsRecordsAtOneAnothersOffsets) {
  std::swap(found_[1].hash, found_[2].hash);
  EXPECT_THAT(Check().different, ElementsAre(found_[1], found_[2]));
}

TEST_F(RecordCheckerTest, AllowsWhatWasNeverAcknowledged) {
  found_.push_back(Record(10));
  found_.push_back(Record(11));
  found_.push_back(Record(0, "rig-2"));
  const CheckReport report = Check();
  EXPECT_TRUE(report.ok()) << report.Describe();
  EXPECT_EQ(report.unacknowledged, 3u);
}

TEST_F(RecordCheckerTest, ADuplicateIsOneAlsoWhereNothingWasAcknowledged) {
  found_.push_back(Record(10));
  found_.push_back(Record(10));
  const CheckReport report = Check();
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.unacknowledged, 1u);
  EXPECT_THAT(report.duplicated, ElementsAre(Record(10)));
}

TEST_F(RecordCheckerTest, KeepsOriginsApartHoweverTheyAreMixed) {
  for (int64_t offset = 0; offset < 10; ++offset) {
    for (const AckedRecord& record : {Record(offset, "rig-2"), Record(offset, "rig-1", 1)}) {
      checker_.Add(record);
      found_.insert(found_.begin() + offset * 3, record);
    }
  }
  const CheckReport report = Check();
  EXPECT_TRUE(report.ok()) << report.Describe();
  EXPECT_EQ(report.acked, 30u);
  EXPECT_EQ(report.unacknowledged, 0u);
}

TEST_F(RecordCheckerTest, FindsAnOffsetThatTheSourceUsedTwice) {
  checker_.Add(Record(3));
  EXPECT_TRUE(Check().ok());
  AckedRecord other = Record(3);
  other.hash ^= 1;
  checker_.Add(other);
  const CheckReport report = Check();
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(report.acked_twice, ElementsAre(other));
}

TEST_F(RecordCheckerTest, TheReportNamesTheFirstFew) {
  found_.erase(found_.begin(), found_.begin() + 7);
  const std::string text = Check().Describe();
  EXPECT_THAT(text, HasSubstr("10 acknowledged, 3 found, 0 unacknowledged"));
  EXPECT_THAT(text, HasSubstr("7 lost: rig-1/sensors/0@0 rig-1/sensors/0@1"));
  EXPECT_THAT(text, HasSubstr("@4 ..."));
}

TEST(HashOfRecordTest, EveryPartCounts) {
  const uint64_t hash = HashOfRecord(1, "key", "value");
  EXPECT_EQ(HashOfRecord(1, "key", "value"), hash);
  EXPECT_NE(HashOfRecord(2, "key", "value"), hash);
  EXPECT_NE(HashOfRecord(1, "keyv", "alue"), hash);
  EXPECT_NE(HashOfRecord(1, "key", "valuf"), hash);
  EXPECT_NE(HashOfRecord(1, std::nullopt, "value"), HashOfRecord(1, "", "value"));
}

}  // namespace
}  // namespace selvage::test
