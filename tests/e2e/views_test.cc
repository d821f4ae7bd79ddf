#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using Views = ctl::Client::Views;
using ViewRows = std::map<std::string, std::string>;  // JSON by key

constexpr int kViewEdges = 2;
constexpr int kViewPartitions = 2;
constexpr int kCoreKills = 8;
constexpr absl::Duration kViewCaughtUp = absl::Seconds(120);
constexpr absl::Duration kViewLookAgain = absl::Milliseconds(100);

/// What count and sum of a group come to.
struct PumpTotals {
  int64_t count = 0;
  int64_t sum = 0;
};

/// A view at the core over the telemetry of two edges. Prints its seed; SELVAGE_E2E_SEED sets it.
class ViewsTest : public testing::Test {
 protected:
  ViewsTest() {
    const char* text = std::getenv("SELVAGE_E2E_SEED");
    if (text == nullptr || !absl::SimpleAtoi(text, &seed_)) seed_ = std::random_device()();
    random_.seed(seed_);
    fmt::print("seed {}\n", seed_);
  }
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("telemetry", v1::UP, kViewPartitions)), IsOk());
    for (int i = 0; i < kViewEdges; ++i) ASSERT_THAT(AwaitLinked(core(), Cluster::EdgeName(i)), IsOk());
    v1::CreateViewRequest request;
    v1::ViewDefinition& view = *request.mutable_definition();
    view.set_name("totals");
    view.set_stream("telemetry");
    view.mutable_aggregate()->add_group_by()->set_path("$key");
    view.mutable_aggregate()->add_columns()->set_function(v1::VIEW_COUNT);
    v1::ViewColumn& sum = *view.mutable_aggregate()->add_columns();
    sum.set_function(v1::VIEW_SUM);
    sum.set_path("bar");
    ASSERT_THAT(core().client()->Call(&Views::CreateView, request), IsOk());
  }
  void TearDown() override { StopProducing(); }

  /// A producer for each partition of each edge, until StopProducing.
  void Produce() {
    for (int i = 0; i < kViewEdges; ++i) {
      for (int p = 0; p < kViewPartitions; ++p) {
        producers_.emplace_back([this, i, p] { RunProducer(cluster_.edge(i), p, seed_ + 10 * i + p); });
      }
    }
  }
  void StopProducing() {
    if (!stopping_.HasBeenNotified()) stopping_.Notify();
    for (std::thread& producer : producers_) producer.join();
    producers_.clear();
  }
  void RunProducer(Daemon& edge, int32_t partition, unsigned seed) {
    std::mt19937 random(seed);
    const auto below = [&](int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random); };
    while (!stopping_.WaitForNotificationWithTimeout(absl::Milliseconds(below(10)))) {
      BatchBuilder batch;
      for (int left = 1 + below(300); left > 0; --left) {
        Record record;
        record.timestamp = absl::ToUnixMillis(SystemClock().Wall());
        record.key = fmt::format("pump-{}", below(50));
        record.value = fmt::format(R"({{"bar":{},"unit":"mbar"}})", below(2001) - 1000);
        batch.Add(record);
      }
      const int records = batch.count();
      if (test::Produce(edge, At("telemetry", partition), batch.Build()).ok()) {
        acknowledged_ += static_cast<uint64_t>(records);
      }
    }
  }

  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }

  v1::ViewStatus Described() {
    v1::DescribeViewRequest request;
    request.set_view("totals");
    return core().client()->Call(&Views::DescribeView, request).value_or(v1::ViewStatus());
  }
  bool HasCaughtUp() {
    const v1::ViewStatus status = Described();
    if (status.logs_size() != kViewEdges * kViewPartitions || status.rebuilding()) return false;
    for (const v1::ViewLog& log : status.logs()) {
      if (log.next() != log.end()) return false;
    }
    return true;
  }
  absl::StatusOr<ViewRows> RowsOfView() {
    ViewRows rows;
    v1::ScanRowsRequest request;
    request.set_table("totals");
    while (true) {
      SELVAGE_ASSIGN_OR_RETURN(const auto page,
                               core().client()->Call(&ctl::Client::Tables::ScanRows, request));
      for (const v1::TableRow& row : page.rows()) rows[row.key()] = row.json();
      if (!page.has_next()) return rows;
      request.set_from(page.next());
    }
  }
  /// What the core's logs hold, added up one by one.
  absl::StatusOr<ViewRows> RowsOfLogs(uint64_t& records) {
    std::map<std::string, PumpTotals> totals;
    for (int i = 0; i < kViewEdges; ++i) {
      for (int p = 0; p < kViewPartitions; ++p) {
        SELVAGE_ASSIGN_OR_RETURN(const LogContents log,
                                 ReadLog(core(), At("telemetry", p, Cluster::EdgeName(i))));
        records += log.records.size();
        for (const Record& record : log.records) {
          PumpTotals& pump = totals[*record.key];
          ++pump.count;
          pump.sum += std::strtoll(record.value->c_str() + std::string_view("{\"bar\":").size(), nullptr, 10);
        }
      }
    }
    ViewRows rows;
    for (const auto& [key, pump] : totals) {
      rows['"' + key + '"'] =
          fmt::format(R"({{"count":{},"key":"{}","sum_bar":{}}})", pump.count, key, pump.sum);
    }
    return rows;
  }

  Daemon& core() { return cluster_.core(); }

  Cluster cluster_{{.edges = kViewEdges}};
  absl::Notification stopping_;
  std::atomic<uint64_t> acknowledged_{0};
  std::vector<std::thread> producers_;
  unsigned seed_ = 0;
  std::mt19937 random_;
};

TEST_F(ViewsTest, ACoreThatIsKilledCountsEachRecordOnce) {
  Produce();
  for (int kill = 0; kill < kCoreKills; ++kill) {
    // Also while the view is still behind what came during the last kill.
    absl::SleepFor(absl::Milliseconds(Below(kill % 2 == 0 ? 1500 : 200)));
    if (kill == kCoreKills / 2) {
      v1::RebuildViewRequest request;
      request.set_view("totals");
      ASSERT_THAT(core().client()->Call(&Views::RebuildView, request), IsOk());
    }
    core().Kill();
    absl::SleepFor(absl::Milliseconds(Below(300)));
    ASSERT_THAT(core().Start(), IsOk());
  }
  StopProducing();
  for (int i = 0; i < kViewEdges; ++i) {
    ASSERT_THAT(AwaitLinked(core(), Cluster::EdgeName(i)), IsOk());
    for (int p = 0; p < kViewPartitions; ++p) {
      ASSERT_THAT(AwaitReplicated(cluster_.edge(i), Cluster::EdgeName(i), core(), "telemetry", p), IsOk());
    }
  }
  ASSERT_TRUE(Eventually(
      kViewCaughtUp, [&] { return HasCaughtUp(); }, kViewLookAgain))
      << Described().ShortDebugString();

  uint64_t records = 0;
  const auto held = RowsOfLogs(records);
  ASSERT_THAT(held, IsOk());
  EXPECT_GE(records, acknowledged_);
  EXPECT_GT(records, 10'000u);
  fmt::print("{} records, {} acknowledged, {} rows\n", records, acknowledged_.load(), held->size());
  const auto rows = RowsOfView();
  ASSERT_THAT(rows, IsOk());
  EXPECT_EQ(*rows, *held);
  const v1::ViewStatus status = Described();
  uint64_t counted = 0;
  for (const v1::ViewLog& log : status.logs()) {
    counted += log.records();
    EXPECT_EQ(log.lost() + log.trimmed(), 0u);
    EXPECT_FALSE(log.has_diverged_at());
  }
  EXPECT_EQ(counted, records);
  EXPECT_TRUE(status.skipped().empty());
}

}  // namespace
}  // namespace selvage::test
