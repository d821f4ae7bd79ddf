/// Tables: durable puts in batches of 100 rows, and point gets, beside RocksDB alone with the same engine
/// settings, keys and JSON. Each round measures both, one after the other, on fresh directories; the counters
/// are those of the median ratio. And what indexes cost a put.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/bench_support.h"
#include "fabric/base/check.h"
#include "fabric/storage/rocksdb_store.h"

namespace selvage::bench {
namespace {

constexpr int kRounds = 5;
constexpr int kBatch = 100;
constexpr int kRows = 100'000;
constexpr int kGets = 200'000;

std::string KeyOf(uint64_t n) {
  return "sensor/" + std::to_string(n * 0x9E3779B97F4A7C15 % 1'000'000'007);
}

std::string JsonOf(uint64_t n) {
  return R"({"bar":)" + std::to_string(n % 1000) + R"(,"ok":true,"site":"plant-)" + std::to_string(n % 50) +
         R"(","unit":"bar"})";
}

double Seconds(std::chrono::steady_clock::time_point from) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

/// Calls `batch(first)` for each batch of rows, from so many threads.
template <class Batch>
double ForAllBatches(int writers, const Batch& batch) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([&, w] {
      for (int first = w * kBatch; first < kRows; first += writers * kBatch) batch(first);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return Seconds(begin);
}

struct Round {
  double puts;  // rows per second
  double raw_puts;
  double gets;
  double raw_gets;
};

/// `other`: the rows hold other values.
void PutAll(table::TableStore& tables, int first, uint64_t other = 0) {
  std::vector<table::RowOperation> operations;
  for (int i = first; i < first + kBatch; ++i) {
    const auto n = static_cast<uint64_t>(i);
    operations.push_back({KeyOf(n), table::RowOperation::Put{table::ParseFields(JsonOf(n + other)).value()}});
  }
  SELVAGE_CHECK(tables.WriteAndWait("bench", std::move(operations)).ok());
}

template <class Get>
double GetsPerSecond(const Get& get) {
  std::mt19937_64 random(3);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kGets; ++i) get(KeyOf(random() % kRows));
  return kGets / Seconds(begin);
}

Round Measure(int writers) {
  Round round{};
  {
    ScratchDir dir;
    auto node = OpenNode(dir.path(), "bench", true);
    table::TableStore& tables = node->state().tables();
    v1::TableDefinition definition;
    definition.set_name("bench");
    definition.set_direction(v1::TABLE_BOTH);
    SELVAGE_CHECK(tables.Create(definition).ok());
    round.puts = kRows / ForAllBatches(writers, [&](int first) { PutAll(tables, first); });
    round.gets = GetsPerSecond([&](const std::string& key) {
      const auto row = tables.Get("bench", key);
      SELVAGE_CHECK(row.ok() && row->has_value());
    });
  }
  ScratchDir dir;
  auto store = RocksDbStore::Open({.path = dir.path() / "store"});
  SELVAGE_CHECK(store.ok());
  round.raw_puts = kRows / ForAllBatches(writers, [&](int first) {
                     auto batch = (*store)->NewBatch();
                     for (int i = first; i < first + kBatch; ++i) {
                       const auto n = static_cast<uint64_t>(i);
                       batch->Put(Family::kRow, KeyOf(n), {JsonOf(n)});
                     }
                     SELVAGE_CHECK((*store)->Write(*batch, /*sync=*/true).ok());
                   });
  round.raw_gets = GetsPerSecond([&](const std::string& key) {
    const auto row = (*store)->Get(Family::kRow, key);
    SELVAGE_CHECK(row.ok() && row->has_value());
  });
  return round;
}

void BM_Rows(benchmark::State& state) {
  std::vector<Round> rounds;
  for (auto _ : state) {
    for (int i = 0; i < kRounds; ++i) rounds.push_back(Measure(static_cast<int>(state.range(0))));
  }
  const auto median_by = [&](double Round::*ours, double Round::*raw) {
    std::sort(rounds.begin(), rounds.end(),
              [&](const Round& a, const Round& b) { return a.*ours / a.*raw < b.*ours / b.*raw; });
    return rounds[rounds.size() / 2];
  };
  const Round puts = median_by(&Round::puts, &Round::raw_puts);
  state.counters["puts_per_s"] = puts.puts;
  state.counters["rocksdb_puts_per_s"] = puts.raw_puts;
  state.counters["puts_ratio"] = puts.puts / puts.raw_puts;
  const Round gets = median_by(&Round::gets, &Round::raw_gets);
  state.counters["gets_per_s"] = gets.gets;
  state.counters["rocksdb_gets_per_s"] = gets.raw_gets;
  state.counters["gets_ratio"] = gets.gets / gets.raw_gets;
}
/// Seconds for new rows, and for the same rows with other values, in a table with so many indexes.
struct IndexedPuts {
  double fresh;
  double again;
};

IndexedPuts MeasureIndexed(int writers, int indexes) {
  ScratchDir dir;
  auto node = OpenNode(dir.path(), "bench", true);
  table::TableStore& tables = node->state().tables();
  v1::TableDefinition definition;
  definition.set_name("bench");
  definition.set_direction(v1::TABLE_BOTH);
  SELVAGE_CHECK(tables.Create(definition).ok());
  constexpr const char* kPaths[] = {"bar", "site", "unit", "ok"};
  for (int i = 0; i < indexes; ++i) SELVAGE_CHECK(tables.CreateIndex("bench", kPaths[i], kPaths[i]).ok());
  IndexedPuts puts{};
  puts.fresh = ForAllBatches(writers, [&](int first) { PutAll(tables, first); });
  puts.again = ForAllBatches(writers, [&](int first) { PutAll(tables, first, 7); });
  return puts;
}

/// What indexes cost a put: by how much it takes longer than without, the median of the rounds.
void BM_IndexUpkeep(benchmark::State& state) {
  const auto writers = static_cast<int>(state.range(0));
  const auto indexes = static_cast<int>(state.range(1));
  std::vector<double> fresh;
  std::vector<double> again;
  for (auto _ : state) {
    for (int i = 0; i < kRounds; ++i) {
      const IndexedPuts plain = MeasureIndexed(writers, 0);
      const IndexedPuts indexed = MeasureIndexed(writers, indexes);
      fresh.push_back(indexed.fresh / plain.fresh - 1);
      again.push_back(indexed.again / plain.again - 1);
    }
  }
  const auto median = [](std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  state.counters["new_rows_cost"] = median(fresh);
  state.counters["changed_rows_cost"] = median(again);
}
BENCHMARK(BM_IndexUpkeep)
    ->ArgNames({"writers", "indexes"})
    ->Args({1, 1})
    ->Args({8, 1})
    ->Args({8, 4})
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime();

BENCHMARK(BM_Rows)
    ->ArgName("writers")
    ->Arg(1)
    ->Arg(8)
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime();

}  // namespace
}  // namespace selvage::bench

BENCHMARK_MAIN();
