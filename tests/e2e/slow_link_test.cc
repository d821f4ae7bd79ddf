#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include "absl/time/clock.h"
#include "fabric/base/clock.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"

namespace selvage::test {
namespace {

using Stub = ctl::Client::Stub;

constexpr int64_t kBitsPerSecond = 64'000;
constexpr absl::Duration kOneWay = absl::Milliseconds(300);
constexpr absl::Duration kAlarmLimit = absl::Seconds(2);

/// SELVAGE_E2E_SLOW_LINK_FULL makes it the batch of 1 MiB, which takes three minutes, and demands the
/// figures: where other programs share the machine they are only printed, and what arrived is checked.
bool Full() {
  return std::getenv("SELVAGE_E2E_SLOW_LINK_FULL") != nullptr;
}
size_t BulkBytes() {
  return Full() ? 1u << 20 : 320u << 10;
}

std::string Incompressible(size_t size) {
  std::mt19937_64 random(1);
  std::string bytes(size, '\0');
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
  return bytes;
}

/// Follows a log at the core and notes when each record arrived.
class ArrivalWatch {
 public:
  ArrivalWatch(Daemon& core, const v1::LogAddress& address) : core_(core) {
    *request_.mutable_address() = address;
    request_.set_offset(0);
    request_.set_max_bytes(1 << 20);
    request_.set_max_wait_ms(2000);
  }

  /// Until `count` records have arrived, or `until` (monotonic) is over.
  void Follow(size_t count, absl::Duration until) {
    while (arrivals_.size() < count && SystemClock().Monotonic() < until) {
      auto page = core_.Call(&Stub::Fetch, request_);
      if (!page.ok()) {  // not there yet
        absl::SleepFor(absl::Milliseconds(50));
        continue;
      }
      const absl::Duration now = SystemClock().Monotonic();
      for (int64_t offset = request_.offset(); offset < page->next_offset(); ++offset)
        arrivals_[offset] = now;
      request_.set_offset(page->next_offset());
    }
  }
  const std::map<int64_t, absl::Duration>& arrivals() const { return arrivals_; }

 private:
  Daemon& core_;
  v1::FetchRequest request_;
  std::map<int64_t, absl::Duration> arrivals_;
};

TEST(SlowLinkTest, AlarmsOvertakeALargeBatch) {
  Cluster cluster({.edges = 1,
                   .core = {{"link.heartbeat", "10s"}, {"link.timeout", "30s"}},
                   .edge = {{"link.heartbeat", "10s"}, {"link.timeout", "30s"}}});
  ASSERT_THAT(cluster.Prepare(), IsOk());
  cluster.link().Delay(Direction::kBoth, kOneWay);
  cluster.link().Throttle(Direction::kUp, kBitsPerSecond);
  cluster.link().Throttle(Direction::kDown, kBitsPerSecond);
  ASSERT_THAT(cluster.core().Start(), IsOk());
  ASSERT_THAT(CreateStream(cluster.core(), Definition("bulk", v1::UP)), IsOk());
  v1::StreamDefinition urgent = Definition("alarms", v1::UP);
  urgent.mutable_settings()->set_priority(9);
  ASSERT_THAT(CreateStream(cluster.core(), urgent), IsOk());
  ASSERT_THAT(cluster.edge().Start(), IsOk());
  ASSERT_THAT(AwaitLinked(cluster.core(), "edge-0"), IsOk());
  ASSERT_THAT(ProduceSoon(cluster.edge(), At("alarms"), BatchOf({"first"})), IsOk());
  ASSERT_THAT(AwaitReplicated(cluster.edge(), "edge-0", cluster.core(), "alarms"), IsOk());

  // Room for the batch's own header, so that it is as large as a batch may be.
  const absl::Duration started = SystemClock().Monotonic();
  ASSERT_THAT(Produce(cluster.edge(), At("bulk"), BatchOf({Incompressible(BulkBytes() - 200)})), IsOk());
  const absl::Duration expected = absl::Seconds(static_cast<double>(BulkBytes() * 8) / kBitsPerSecond);
  const absl::Duration until = started + 2 * expected + absl::Seconds(20);
  ArrivalWatch bulk(cluster.core(), At("bulk", 0, "edge-0"));
  std::thread bulk_reader([&] { bulk.Follow(1, until); });
  ArrivalWatch alarms(cluster.core(), At("alarms", 0, "edge-0"));
  const auto alarms_wanted = static_cast<size_t>(absl::ToInt64Seconds(expected));
  std::thread alarm_reader([&] { alarms.Follow(1 + alarms_wanted, until); });

  std::map<int64_t, absl::Duration> sent;
  absl::Duration slowest_write;  // a machine whose disk is slow to sync delays alarms as well
  for (size_t i = 0; i < alarms_wanted; ++i) {
    const absl::Duration now = SystemClock().Monotonic();
    auto written =
        Produce(cluster.edge(), At("alarms"), BatchOf({fmt::format("alarm {}: pressure is too high", i)}));
    ASSERT_THAT(written, IsOk());
    sent[written->base_offset()] = now;
    slowest_write = std::max(slowest_write, SystemClock().Monotonic() - now);
    absl::SleepFor(now + absl::Seconds(1) - SystemClock().Monotonic());
  }
  bulk_reader.join();
  alarm_reader.join();

  ASSERT_EQ(bulk.arrivals().size(), 1u) << "the batch did not arrive";
  std::vector<std::pair<double, double>> latencies;  // each with when it was sent
  for (const auto& [offset, at] : sent) {
    ASSERT_TRUE(alarms.arrivals().contains(offset)) << "alarm " << offset << " did not arrive";
    latencies.emplace_back(absl::ToDoubleSeconds(alarms.arrivals().at(offset) - at),
                           absl::ToDoubleSeconds(at - started));
  }
  std::sort(latencies.begin(), latencies.end());
  // Of fewer than a hundred, one may be late.
  const size_t late_max = std::max<size_t>(1, latencies.size() / 100);
  const double p99 = latencies[latencies.size() - 1 - late_max].first;
  const double bulk_seconds = absl::ToDoubleSeconds(bulk.arrivals().at(0) - started);
  fmt::print(
      "{} bytes arrived in {:.1f} s ({:.1f} s at the full rate); {} alarms meanwhile: p50 {:.2f} s, p99 "
      "{:.2f} s, largest {:.2f} s (sent at {:.0f} s); writing one at the edge took at most {:.2f} s\n",
      BulkBytes(), bulk_seconds, absl::ToDoubleSeconds(expected), latencies.size(),
      latencies[latencies.size() / 2].first, p99, latencies.back().first, latencies.back().second,
      absl::ToDoubleSeconds(slowest_write));
  for (const auto& [took, at] : latencies) {
    if (took > absl::ToDoubleSeconds(kAlarmLimit))
      fmt::print("late: {:.2f} s (sent at {:.0f} s)\n", took, at);
  }
  if (Full()) {
    EXPECT_LE(p99, absl::ToDoubleSeconds(kAlarmLimit));
  }
  EXPECT_EQ(cluster.link().counters().connections, 1u) << "the link did not hold";
}

}  // namespace
}  // namespace selvage::test
