#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"
#include "tests/support/record_checker.h"

namespace selvage::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr size_t kLarge = 20'000;  // lies in a blob file
constexpr size_t kSmall = 300;     // lies in a table

/// Bytes overwritten in the files of a node that is stopped. One edge with the stream "readings", batches of
/// one record.
class DamagedEntryTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("readings", v1::UP)), IsOk());
  }

  /// Writes so many records of random bytes at the edge; all of them are acknowledged.
  void Write(int records, size_t bytes) {
    for (int i = 0; i < records; ++i) {
      std::string value(bytes, '\0');
      for (char& c : value) c = static_cast<char>(random_());
      auto answer = ProduceSoon(edge(), At("readings"), BatchOf({value}));
      ASSERT_THAT(answer, IsOk());
      ASSERT_EQ(answer->base_offset(), static_cast<int64_t>(values_.size()));
      checker_.Add({"edge-0", "readings", PartitionId(0), Offset(answer->base_offset()), HashOf(value)});
      values_.push_back(std::move(value));
    }
  }
  void AwaitDrained() { ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk()); }

  /// Stops a node with all that it wrote in files other than the write-ahead log, overwrites bytes of some
  /// records in those of this kind, and starts it.
  void Damage(Daemon& node, const std::string& extension, std::initializer_list<size_t> offsets) {
    // At a start what the write-ahead log holds is written to files.
    ASSERT_THAT(node.Stop(), IsOk());
    ASSERT_THAT(node.Start(), IsOk());
    ASSERT_THAT(node.Stop(), IsOk());
    for (size_t offset : offsets) {
      const std::string mark = values_[offset].substr(values_[offset].size() / 2, 32);
      int damaged = 0;
      for (const auto& file : std::filesystem::directory_iterator(node.data_dir() + "/store")) {
        if (file.path().extension() != extension) continue;
        const size_t at = ReadFile(file.path().string()).find(mark);
        if (at == std::string::npos) continue;
        std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
        stream.seekp(static_cast<std::streamoff>(at));
        stream.put(static_cast<char>(~mark[0]));
        ASSERT_TRUE(stream.good());
        ++damaged;
      }
      ASSERT_EQ(damaged, 1) << "record " << offset << " in " << extension << " files";
    }
    ASSERT_THAT(node.Start(), IsOk());
  }

  /// Reads a whole log, again and again until it can be read.
  LogContents ReadSoon(Daemon& node, const v1::LogAddress& address) {
    absl::StatusOr<LogContents> contents = absl::UnknownError("not read");
    EXPECT_TRUE(Eventually(
        absl::Seconds(60),
        [&] {
          contents = ReadLog(node, address);
          if (!contents.ok()) {
            EXPECT_THAT(contents, HasKind("corrupt_entry"));
          }
          return contents.ok();
        },
        absl::Milliseconds(200)))
        << contents.status();
    return contents.value_or(LogContents());
  }
  CheckReport Check(const LogContents& contents) {
    std::vector<FoundRecord> found;
    for (const Record& record : contents.records) {
      found.push_back({"edge-0", "readings", PartitionId(0), record.offset, HashOf(*record.value)});
    }
    return checker_.Check(found);
  }
  static uint64_t HashOf(const std::string& value) { return HashOfRecord(0, std::nullopt, value); }
  void ExpectVerified() {
    auto verify = cluster_.Ctl(core(), {"verify", "--edge-address", edge().admin_address()});
    ASSERT_THAT(verify, IsOk());
    EXPECT_TRUE(verify->exit.ok()) << verify->out << verify->err;
  }
  /// All that was acknowledged is at both ends again, and nothing was lost on the way.
  void ExpectHealed(Daemon& node, const v1::LogAddress& address, int ranges) {
    const LogContents contents = ReadSoon(node, address);
    const CheckReport report = Check(contents);
    EXPECT_TRUE(report.ok()) << report.Describe();
    EXPECT_EQ(report.found, values_.size());
    EXPECT_THAT(contents.gaps, IsEmpty());
    EXPECT_EQ(node.Metric("selvage_damaged_ranges_found_total"), ranges);
    EXPECT_EQ(node.Metric("selvage_damaged_ranges_quarantined_total"), 0);
    EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
      return node.Metric("selvage_damaged_ranges_fetched_total") == ranges && Alarms(node).empty();
    }));
    EXPECT_TRUE(Losses(core(), "readings").empty());
    ExpectVerified();
    ASSERT_THAT(node.Stop(), IsOk());
    ASSERT_THAT(node.Start(), IsOk());
    EXPECT_TRUE(Check(ReadSoon(node, address)).ok()) << "also after a restart";
  }

  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(); }

  Cluster cluster_{{.edges = 1}};
  std::mt19937 random_{17};
  std::vector<std::string> values_;  // by offset
  RecordChecker checker_;
};

TEST_F(DamagedEntryTest, TheCoreGetsItAgainFromTheEdge) {
  ASSERT_NO_FATAL_FAILURE(Write(30, kLarge));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  ASSERT_NO_FATAL_FAILURE(Damage(core(), ".blob", {3, 17}));
  ExpectHealed(core(), At("readings", 0, "edge-0"), 2);
}

TEST_F(DamagedEntryTest, TheEdgeGetsItAgainFromTheCore) {
  ASSERT_NO_FATAL_FAILURE(Write(30, kLarge));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  ASSERT_NO_FATAL_FAILURE(Damage(edge(), ".blob", {3, 17}));
  ExpectHealed(edge(), At("readings"), 2);
}

TEST_F(DamagedEntryTest, SmallEntriesInATable) {
  ASSERT_NO_FATAL_FAILURE(Write(120, kSmall));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  ASSERT_NO_FATAL_FAILURE(Damage(core(), ".sst", {60}));
  ExpectHealed(core(), At("readings", 0, "edge-0"), 1);
}

TEST_F(DamagedEntryTest, ItWaitsForTheLink) {
  ASSERT_NO_FATAL_FAILURE(Write(20, kLarge));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  cluster_.link().Refuse(true);
  cluster_.link().Cut();
  ASSERT_NO_FATAL_FAILURE(Damage(edge(), ".blob", {8}));
  EXPECT_THAT(ReadLog(edge(), At("readings")), HasKind("corrupt_entry"));
  auto alarm = AwaitAlarm(edge(), "entry_damaged");
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->subject(), "readings/0");
  EXPECT_THAT(alarm->message(), HasSubstr("from offset 8 to 9"));
  ASSERT_THAT(edge().Stop(), IsOk());
  ASSERT_THAT(edge().Start(), IsOk());  // nobody reads it any more, but the alarm is open
  cluster_.link().Refuse(false);
  EXPECT_TRUE(Eventually(absl::Seconds(30), [&] {
    return edge().Metric("selvage_damaged_ranges_fetched_total") == 1 && Alarms(edge()).empty();
  }));
  ExpectHealed(edge(), At("readings"), 1);
}

TEST_F(DamagedEntryTest, WhatWasNotReplicatedIsAGapThatEverybodySees) {
  ASSERT_NO_FATAL_FAILURE(Write(5, kLarge));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
  cluster_.link().Refuse(true);
  cluster_.link().Cut();
  ASSERT_NO_FATAL_FAILURE(Write(10, kLarge));
  ASSERT_NO_FATAL_FAILURE(Damage(edge(), ".blob", {9}));
  cluster_.link().Refuse(false);
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());

  for (auto [node, address] : {std::pair{&core(), At("readings", 0, "edge-0")}, {&edge(), At("readings")}}) {
    const LogContents contents = ReadSoon(*node, address);
    const CheckReport report = Check(contents);
    ASSERT_EQ(report.lost.size(), 1u) << report.Describe();
    EXPECT_EQ(report.lost[0].offset, Offset(9));
    EXPECT_EQ(report.found, values_.size() - 1);
    EXPECT_TRUE(report.duplicated.empty() && report.reordered.empty() && report.different.empty());
    ASSERT_EQ(contents.gaps.size(), 1u);
    EXPECT_EQ(contents.gaps[0].from, Offset(9));
    EXPECT_EQ(contents.gaps[0].to, Offset(10));
    EXPECT_EQ(contents.gaps[0].reason, "corrupt");
    ASSERT_EQ(Losses(*node, "readings").size(), 1u);
    auto listed = cluster_.Ctl(*node, {"loss", "list"});
    ASSERT_THAT(listed, IsOk());
    EXPECT_THAT(listed->out, AllOf(HasSubstr("readings"), HasSubstr("corrupt")));
  }
  auto alarm = AwaitAlarm(edge(), "entry_quarantined");
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->subject(), "readings/0");
  EXPECT_THAT(alarm->message(), HasSubstr("from offset 9 to 10"));
  EXPECT_EQ(edge().Metric("selvage_damaged_ranges_quarantined_total"), 1);
  ExpectVerified();
  ASSERT_NO_FATAL_FAILURE(Write(1, kLarge));
  ASSERT_NO_FATAL_FAILURE(AwaitDrained());
}

}  // namespace
}  // namespace selvage::test
