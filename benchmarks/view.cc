/// What a view makes of records, on one core and without a store: fields out of JSON alone, and whole folds
/// from stored batches to the encoded states of the groups. `items_per_second` is records.
/// SELVAGE_SENSOR_CSV names a real series (timestamp,value); without it the records are made up only.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "fabric/base/check.h"
#include "fabric/stream/record_batch.h"
#include "fabric/view/json_fields.h"
#include "fabric/view/view_batch.h"
#include "fabric/view/view_definition.h"

namespace selvage::bench {
namespace {

using view::ViewFold;

constexpr int kBatches = 200;
constexpr int kBatchRecords = 500;
constexpr int64_t kStartMs = 1'700'000'000'000;

struct Reading {
  std::string key;
  std::string json;
  int64_t timestamp_ms = 0;
};

/// Records of so many sensors, one each 100 ms, of about 100 or 200 bytes.
std::vector<Reading> Generated(int sensors, bool large) {
  std::mt19937_64 random(7);
  std::vector<Reading> readings;
  for (int i = 0; i < kBatches * kBatchRecords; ++i) {
    const auto sensor = random() % static_cast<uint64_t>(sensors);
    const double bar = 7 + static_cast<double>(random() % 1'000'000) / 1e6;
    Reading reading{
        .key = "rig-7/pump-" + std::to_string(sensor), .json = {}, .timestamp_ms = kStartMs + i * 100};
    reading.json = R"({"sensor":"pump-)" + std::to_string(sensor) + R"(","ts":)" +
                   std::to_string(reading.timestamp_ms) + R"(,"bar":)" + std::to_string(bar) + R"(,"rpm":)" +
                   std::to_string(1400 + random() % 100) + R"(,"unit":"bar","ok":true})";
    if (large) {
      reading.json.pop_back();
      reading.json += R"(,"site":{"name":"plant north","line":12,"tags":["a","b"]},"note":"checked by the )"
                      R"(night shift","temperature":74.93588199999998})";
    }
    readings.push_back(std::move(reading));
  }
  return readings;
}

/// The lines of SELVAGE_SENSOR_CSV, several times over.
std::vector<Reading> Real() {
  const char* path = std::getenv("SELVAGE_SENSOR_CSV");
  std::vector<std::string> lines;
  if (path != nullptr) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
  }
  std::vector<Reading> readings;
  for (size_t i = 1; lines.size() > 1 && readings.size() < kBatches * kBatchRecords; ++i) {
    const std::string& line = lines[1 + i % (lines.size() - 1)];
    const size_t comma = line.find(',');
    readings.push_back(
        {"machine-1",
         R"({"timestamp":")" + line.substr(0, comma) + R"(","value":)" + line.substr(comma + 1) + "}",
         kStartMs + static_cast<int64_t>(i) * 300'000});
  }
  return readings;
}

std::vector<std::string> BatchesOf(const std::vector<Reading>& readings, Codec codec) {
  std::vector<std::string> batches;
  BatchBuilder builder(codec);
  int64_t base = 0;
  for (const Reading& reading : readings) {
    Record record;
    record.timestamp = reading.timestamp_ms;
    record.key = reading.key;
    record.value = reading.json;
    builder.Add(record);
    if (builder.count() < kBatchRecords) continue;
    std::string batch = builder.Build();
    StampBatch(batch.data(), Offset(base), LeaderEpoch(0));
    base += kBatchRecords;
    batches.push_back(std::move(batch));
  }
  return batches;
}

v1::ViewColumn& AddColumn(v1::ViewDefinition& definition, v1::ViewFunction function,
                          const std::string& path) {
  v1::ViewColumn& column = *definition.mutable_aggregate()->add_columns();
  column.set_function(function);
  column.set_path(path);
  return column;
}

v1::ViewDefinition Named() {
  v1::ViewDefinition definition;
  definition.set_name("bench");
  definition.set_stream("readings");
  return definition;
}

/// All six functions over one field.
v1::ViewDefinition EveryFunction(const std::string& path, int64_t window_ms) {
  v1::ViewDefinition definition = Named();
  definition.mutable_aggregate()->add_group_by()->set_path("$key");
  definition.mutable_aggregate()->set_window_ms(window_ms);
  for (const v1::ViewFunction function :
       {v1::VIEW_COUNT, v1::VIEW_SUM, v1::VIEW_MEAN, v1::VIEW_MIN, v1::VIEW_MAX, v1::VIEW_DISTINCT}) {
    AddColumn(definition, function, path);
  }
  return view::CompleteDefinition(definition).value();
}

v1::ViewDefinition NewestPerKey() {
  v1::ViewDefinition definition = Named();
  definition.mutable_newest();
  return definition;
}

/// Folds all batches, each piece of up to `batches_per_piece` of them, and encodes what a shell would store.
void Fold(benchmark::State& state, const v1::ViewDefinition& definition, const std::vector<Reading>& readings,
          Codec codec) {
  if (readings.empty()) {
    state.SkipWithError("SELVAGE_SENSOR_CSV names no series");
    return;
  }
  constexpr size_t kBatchesPerPiece = 20;
  const std::vector<std::string> batches = BatchesOf(readings, codec);
  uint64_t records = 0;
  uint64_t rows = 0;
  for (auto _ : state) {
    ViewFold fold(definition);
    view::LogProgress progress;
    for (size_t at = 0; at < batches.size();) {
      fold.Begin(progress, {});
      for (size_t i = 0; i < kBatchesPerPiece && at < batches.size(); ++i) {
        if (!fold.AddBatch(batches[at]).value()) break;
        ++at;
      }
      const view::ViewPiece piece = fold.Take();
      for (const view::GroupUpdate& group : piece.groups) {
        benchmark::DoNotOptimize(group.state.Encode());
        benchmark::DoNotOptimize(view::VisibleRow(definition.aggregate(), group.key, group.state));
      }
      SELVAGE_CHECK(piece.skipped.listed.empty());
      records += piece.records;
      rows += piece.groups.size() + piece.newest.size();
      progress = piece.after;
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(records));
  state.counters["rows"] = static_cast<double>(rows) / static_cast<double>(state.iterations());
}

void Fields(benchmark::State& state, bool large) {
  const std::vector<Reading> readings = Generated(100, large);
  view::JsonFields fields({"bar", "rpm"});
  uint64_t bytes = 0;
  size_t at = 0;
  for (auto _ : state) {
    const std::string& json = readings[at++ % readings.size()].json;
    SELVAGE_CHECK(fields.Read(json) == view::JsonFields::Outcome::kRead);
    benchmark::DoNotOptimize(fields.value(0));
    bytes += json.size();
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
}

BENCHMARK_CAPTURE(Fields, records_of_100_bytes, false);
BENCHMARK_CAPTURE(Fields, records_of_200_bytes, true);
constexpr int64_t kHourMs = 3'600'000;
BENCHMARK_CAPTURE(Fold, aggregate_100_groups, EveryFunction("bar", kHourMs), Generated(100, false),
                  Codec::kNone)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Fold, aggregate_100_groups_zstd, EveryFunction("bar", kHourMs), Generated(100, false),
                  Codec::kZstd)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Fold, aggregate_10000_groups, EveryFunction("bar", kHourMs), Generated(10'000, false),
                  Codec::kNone)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Fold, aggregate_200_bytes, EveryFunction("bar", kHourMs), Generated(100, true),
                  Codec::kNone)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Fold, newest_100_keys, NewestPerKey(), Generated(100, false), Codec::kNone)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Fold, newest_200_bytes, NewestPerKey(), Generated(100, true), Codec::kNone)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Fold, aggregate_real_series, EveryFunction("value", 24 * kHourMs), Real(), Codec::kNone)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace selvage::bench

BENCHMARK_MAIN();
