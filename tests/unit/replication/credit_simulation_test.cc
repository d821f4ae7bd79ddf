#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/unit/replication/virtual_link.h"

namespace selvage::replication::test {
namespace {

/// Many flows over a window that may be smaller than one entry; persisting takes its time.
void RunSeed(uint64_t seed) {
  SeededRandom random(seed);
  Session::Options up_options, down_options;
  up_options.receive_window = random.Spread(0, 1 << 20);
  down_options.receive_window = random.Spread(0, 1 << 20);
  up_options.read_ahead = random.Spread(1, 1 << 20);
  LogEnd edge(true, up_options), core(false, down_options);
  VirtualLink link(edge, core);
  edge.persist_time = core.persist_time = [&] { return absl::Microseconds(random.Spread(0, 20000)); };
  edge.data_budget = random.Spread(1000, 1 << 20);

  std::vector<std::unique_ptr<MemoryLog>> logs;
  size_t largest = 0, entries = 0;
  uint64_t bytes = 0;
  size_t size_max = random.Spread(1, 1 << 19);
  for (uint64_t n = random.Spread(1, 60); n > 0; --n) {
    logs.push_back(std::make_unique<MemoryLog>(TestLogId(1)));
    // Large ones beside small ones.
    size_t log_max = random.OneIn(2) ? size_max : random.Spread(1, size_max);
    for (uint64_t i = random.Spread(0, 500 / (size_max / 100 + 10)); i > 0; --i)
      logs.back()->AppendRandom(random, log_max);
    for (const auto& entry : logs.back()->entries()) {
      largest = std::max(largest, entry.body.size());
      bytes += entry.body.size();
      ++entries;
    }
    FlowSettings settings{static_cast<uint32_t>(random.Below(random.OneIn(2) ? 10 : 2)),
                          static_cast<uint32_t>(random.Between(1, 5)), true};
    edge.AddSource(fmt::format("log{}", logs.size() - 1), *logs.back(), settings);
  }
  double rate = static_cast<double>(random.Spread(100000, 1 << 30));
  absl::Duration round_trip = absl::Microseconds(random.Spread(1, 50000));
  link.Shape(rate, round_trip);
  link.Connect();
  size_t finished = 0;  // of the logs, in order
  auto done = [&] {
    while (finished < logs.size() && edge.sources()[finished]->acknowledged == logs[finished]->position())
      ++finished;
    return finished == logs.size();
  };
  // At worst one entry at a time, each a round trip and a write.
  absl::Duration bound = absl::Seconds(2) +
                         absl::Seconds(static_cast<double>(bytes + entries * 200) / rate * 2) +
                         static_cast<double>(entries) * (round_trip + absl::Milliseconds(25)) * 1.5;
  ASSERT_TRUE(link.RunFor(bound, done)) << "no convergence: " << edge.closed() << " " << core.closed();
  EXPECT_LE(core.held_max(), std::max<uint64_t>(down_options.receive_window, CreditOf(largest)));
  EXPECT_TRUE(edge.closed().ok() && core.closed().ok());
  for (size_t i = 0; i < logs.size(); ++i)
    ASSERT_TRUE(IsPrefix(core.replica(fmt::format("log{}", i)), *logs[i]));
}

TEST(CreditSimulation, NeverExceededAndNeverStuck) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RunSeed(seed);
    if (testing::Test::HasFailure()) return;
  }
}

/// Keeps every flow supplied, and counts what arrives.
class Saturated {
 public:
  Saturated(uint64_t window, double rate) : window_(window) {
    Session::Options options;
    options.receive_window = window;
    core = std::make_unique<LogEnd>(false, options);
    core->persist_time = [] { return absl::Milliseconds(5); };
    link = std::make_unique<VirtualLink>(edge, *core);
    link->Shape(rate, absl::Milliseconds(10));
    edge.keep_events = false;
  }
  int Add(uint32_t priority, size_t entry_bytes, uint32_t weight = 1) {
    logs.push_back(std::make_unique<MemoryLog>(TestLogId(1)));
    sizes.push_back(entry_bytes);
    edge.AddSource(fmt::format("log{}", logs.size() - 1), *logs.back(), {priority, weight, false});
    Refill();
    return static_cast<int>(logs.size()) - 1;
  }
  void Run(absl::Duration time) {
    if (!edge.connected()) link->Connect();
    absl::Duration until = link->now() + time;
    while (link->now() < until) {
      Refill();
      link->RunFor(absl::Milliseconds(20));
    }
  }
  uint64_t Bytes(int i) {
    return core->replica(fmt::format("log{}", i)).entries().size() * sizes[static_cast<size_t>(i)];
  }

  LogEnd edge{true, {}};
  std::unique_ptr<LogEnd> core;
  std::unique_ptr<VirtualLink> link;
  std::vector<std::unique_ptr<MemoryLog>> logs;
  std::vector<size_t> sizes;

 private:
  void Refill() {
    for (size_t i = 0; i < logs.size(); ++i) {
      Offset acknowledged = edge.sources()[i]->acknowledged.value_or(FlowPosition{}).offset;
      while ((logs[i]->end() - acknowledged) * static_cast<int64_t>(sizes[i]) <
             static_cast<int64_t>(4 * window_ + 4 * sizes[i])) {
        logs[i]->AppendBatch(1, std::string(sizes[i], 'x'));
      }
    }
  }
  uint64_t window_;
};

// A window that small entries of a flow of the same or a higher priority would keep full for ever.
TEST(CreditSimulation, LargeEntryIsNotStarvedBySmallOnes) {
  for (uint32_t small_priority : {0u, 5u}) {
    for (size_t large : {30000u, 64000u, 200000u}) {
      Saturated s(64000, 2e6);
      s.Add(small_priority, 500);
      s.Add(small_priority, 700);
      int big = s.Add(0, large);
      s.Run(absl::Seconds(5));
      EXPECT_GT(s.Bytes(big), 0u) << small_priority << " " << large;
      EXPECT_LE(s.core->held_max(), std::max<uint64_t>(64000, large));
    }
  }
}

TEST(CreditSimulation, LargeEntryOfHighPriorityIsNotHeldUpByLowOnes) {
  Saturated s(64000, 5e6);
  int low = s.Add(0, 500);
  int high = s.Add(5, 60000);
  s.Run(absl::Seconds(20));
  EXPECT_GT(s.Bytes(high), 3 * s.Bytes(low));
  EXPECT_GT(s.Bytes(low), 0u);
}

TEST(CreditSimulation, AlarmsPassWhileBulkFillsTheWindow) {
  Saturated s(256000, 1e6);
  s.core->persist_time = [] { return absl::Seconds(1); };  // a slow disk: the window is what holds up
  for (int i = 0; i < 5; ++i) s.Add(1, 60000);
  auto alarms = std::make_unique<MemoryLog>(TestLogId(1));
  s.edge.AddSource("alarms", *alarms, {9, 1, false});
  s.core->persist_time = [] { return absl::Milliseconds(200); };
  std::vector<absl::Duration> raised, stored;
  s.core->on_stored = [&](const std::string& name, const MemoryLog::Stored&, absl::Duration now) {
    if (name == "alarms") stored.push_back(now);
  };
  s.Run(absl::Seconds(2));
  for (int i = 0; i < 100; ++i) {
    raised.push_back(s.link->now());
    alarms->AppendBatch(1, std::string(200, 'a'));
    s.Run(absl::Milliseconds(300));
  }
  s.Run(absl::Seconds(1));
  ASSERT_EQ(stored.size(), raised.size());
  for (size_t i = 0; i < raised.size(); ++i) EXPECT_LT(stored[i] - raised[i], absl::Milliseconds(600)) << i;
}

}  // namespace
}  // namespace selvage::replication::test
