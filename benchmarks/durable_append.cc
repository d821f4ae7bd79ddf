/// Durable append: batches handed to a log until they are acknowledged (synced), beside RocksDB alone writing
/// and syncing the same bytes in groups of the same size with the same settings. Each round measures both,
/// one after the other, on fresh directories; the counters are those of the median ratio.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "benchmarks/bench_support.h"
#include "fabric/base/check.h"

namespace selvage::bench {
namespace {

constexpr int kRounds = 5;
constexpr uint64_t kBytesPerRound = 192u << 20;

struct Round {
  double ours;  // bytes per second
  double raw;
  double group_bytes;
};

void AppendAll(Log& log, const std::string& batch, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    absl::Notification done;
    absl::Status queued = log.Append(std::string(batch), [&](const absl::StatusOr<Appended>& appended) {
      SELVAGE_CHECK(appended.ok());
      done.Notify();
    });
    SELVAGE_CHECK(queued.ok());
    done.WaitForNotification();
  }
}

Round Measure(size_t batch_bytes, int writers) {
  Round round{};
  std::string batch = RandomBatch(batch_bytes, 7);
  uint64_t per_writer = kBytesPerRound / batch_bytes / static_cast<uint64_t>(writers);
  uint64_t total = per_writer * static_cast<uint64_t>(writers) * batch.size();
  {
    ScratchDir dir;
    auto node = OpenNode(dir.path(), "bench", true);
    v1::StreamDefinition definition;
    definition.set_name("bench");
    definition.set_direction(v1::UP);
    definition.set_partitions(writers);
    SELVAGE_CHECK(node->state().streams().CreateLogs(definition).ok());
    Committer::Stats before = node->state().committer().stats();
    auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int w = 0; w < writers; ++w) {
      const std::shared_ptr<Log> log = node->state().logs().Find({"", Slot(0), "bench", PartitionId(w)});
      threads.emplace_back([log, &batch, per_writer] { AppendAll(*log, batch, per_writer); });
    }
    for (std::thread& thread : threads) thread.join();
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    Committer::Stats after = node->state().committer().stats();
    round.ours = static_cast<double>(total) / seconds;
    round.group_bytes = static_cast<double>(total) / static_cast<double>(after.groups - before.groups);
  }
  ScratchDir dir;
  uint64_t batches_per_group = std::max<uint64_t>(
      1, static_cast<uint64_t>(round.group_bytes / static_cast<double>(batch.size()) + 0.5));
  double seconds =
      RawStoreSeconds(dir.path() / "store", true, total, batches_per_group * batch.size(), batch.size());
  round.raw = static_cast<double>(total) / seconds;
  return round;
}

void BM_DurableAppend(benchmark::State& state) {
  std::vector<Round> rounds;
  for (auto _ : state) {
    for (int i = 0; i < kRounds; ++i)
      rounds.push_back(Measure(static_cast<size_t>(state.range(0)), static_cast<int>(state.range(1))));
  }
  std::sort(rounds.begin(), rounds.end(),
            [](const Round& a, const Round& b) { return a.ours / a.raw < b.ours / b.raw; });
  const Round& median = rounds[rounds.size() / 2];
  state.counters["ours_MBps"] = median.ours / 1e6;
  state.counters["rocksdb_MBps"] = median.raw / 1e6;
  state.counters["ratio"] = median.ours / median.raw;
  state.counters["group_KiB"] = median.group_bytes / 1024;
}
BENCHMARK(BM_DurableAppend)
    ->ArgNames({"batch_bytes", "writers"})
    ->ArgsProduct({{16 << 10, 64 << 10, 256 << 10, 1 << 20}, {1, 8}})
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime();

}  // namespace
}  // namespace selvage::bench

BENCHMARK_MAIN();
