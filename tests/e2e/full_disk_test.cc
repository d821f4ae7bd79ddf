#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "fabric/base/clock.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using testing::IsEmpty;
using testing::Not;

constexpr size_t kRecordBytes = 512 << 10;
constexpr int kRecordsMax = 400;  // several times the budget

/// An edge whose store may take 48 MiB, of which 16 MiB are its reserve; its link is down at first.
class FullDiskTest : public testing::Test {
 protected:
  void Start(v1::OnFull on_full) {
    ASSERT_THAT(cluster_.Start(), IsOk());
    v1::StreamDefinition definition = Definition("readings", v1::UP);
    definition.mutable_settings()->set_on_full(on_full);
    definition.mutable_settings()->set_keep_after_ack(false);
    definition.mutable_settings()->set_link_compression(v1::NONE);
    ASSERT_THAT(CreateStream(core(), definition), IsOk());
    ASSERT_THAT(ProduceSoon(edge(), At("readings"), BatchOf({"0"})), IsOk());
    ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
    cluster_.link().Refuse(true);
    cluster_.link().Cut();
  }

  /// Writes the next numbered record.
  absl::Status WriteNext() {
    std::string value = fmt::format("{} ", next_);
    while (value.size() < kRecordBytes) value += static_cast<char>(random_());
    SELVAGE_ASSIGN_OR_RETURN(auto answer, Produce(edge(), At("readings"), BatchOf({value})));
    EXPECT_EQ(answer.base_offset(), next_);
    ++next_;
    return absl::OkStatus();
  }

  /// The numbers in the records of a log; each must be the record's offset.
  static std::vector<int64_t> Numbers(const LogContents& log) {
    std::vector<int64_t> numbers;
    for (const Record& record : log.records) {
      numbers.push_back(std::stoll(*record.value));
      EXPECT_EQ(record.offset.value(), numbers.back());
    }
    return numbers;
  }

  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(); }

  Cluster cluster_{{.edges = 1,
                    .core = {},
                    .edge = {{"storage.budget", "48MiB"},
                             {"storage.reserve", "16MiB"},
                             {"storage.write_buffer", "1MiB"},
                             {"storage.tail_cache", "1MiB"}}}};
  int64_t next_ = 1;
  std::mt19937_64 random_{7};
};

TEST_F(FullDiskTest, RejectRefusesAndRecoversByItself) {
  ASSERT_NO_FATAL_FAILURE(Start(v1::REJECT));
  absl::Status full;
  while (full.ok() && next_ < kRecordsMax) full = WriteNext();
  EXPECT_THAT(full, HasKind("disk_full"));
  EXPECT_TRUE(IsRetryable(full));
  EXPECT_GE(edge().ErrorsCounted("disk_full"), 1);
  EXPECT_GT(next_, 20);
  EXPECT_EQ(ReadLog(edge(), At("readings"))->end.value(), next_) << "reads go on";

  cluster_.link().Refuse(false);
  absl::Status again;
  EXPECT_TRUE(Eventually(
      absl::Seconds(60),
      [&] {
        again = WriteNext();
        return again.ok();
      },
      absl::Milliseconds(200)))
      << selvage::Describe(again);
  ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
  auto log = ReadLog(core(), At("readings", 0, "edge-0"));
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(Numbers(*log).size(), static_cast<size_t>(next_));
  EXPECT_THAT(log->gaps, IsEmpty());
  EXPECT_THAT(Losses(core(), "readings"), IsEmpty());
}

TEST_F(FullDiskTest, DropOldestTakesEveryWriteAndRecordsTheLoss) {
  ASSERT_NO_FATAL_FAILURE(Start(v1::DROP_OLDEST));
  absl::Duration longest;
  while (next_ < kRecordsMax) {
    const absl::Duration asked = SystemClock().Monotonic();
    absl::Status written;
    ASSERT_TRUE(Eventually(absl::Seconds(60),
                           [&] {
                             written = WriteNext();
                             return written.ok();
                           }))
        << next_ << ": " << selvage::Describe(written);
    longest = std::max(longest, SystemClock().Monotonic() - asked);
  }
  fmt::print("a write waited at most {:.1f} s for room\n", absl::ToDoubleSeconds(longest));
  auto lost_at_edge = Losses(edge(), "readings");
  ASSERT_THAT(lost_at_edge, Not(IsEmpty()));
  EXPECT_EQ(lost_at_edge.front().reason(), "dropped_for_space");

  cluster_.link().Refuse(false);
  ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
  auto log = ReadLog(core(), At("readings", 0, "edge-0"));
  ASSERT_THAT(log, IsOk());
  int64_t missing = 0;
  for (const auto& gap : log->gaps) {
    EXPECT_EQ(gap.reason, "dropped_for_space");
    missing += gap.to - gap.from;
  }
  EXPECT_GT(missing, 0);
  EXPECT_EQ(static_cast<int64_t>(Numbers(*log).size()) + missing, next_) << "each is there or accounted for";
  int64_t in_ledger = 0;
  for (const v1::Loss& loss : Losses(core(), "readings")) {
    EXPECT_EQ(loss.edge(), "edge-0");
    in_ledger += loss.to() - loss.from();
  }
  EXPECT_EQ(in_ledger, missing);
}

}  // namespace
}  // namespace selvage::test
