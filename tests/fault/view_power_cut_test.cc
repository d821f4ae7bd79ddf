// Power cuts while views read streams and the changes of a table are captured: whatever happens, the rows of
// a view are those of the records that it says it has read, and captured changes lead to the rows that are
// there.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/rocksdb_store.h"
#include "fabric/table/table_definition.h"
#include "fabric/telemetry/log.h"
#include "tests/contract/log/log_node.h"
#include "tests/contract/table/table_node.h"
#include "tests/fault/log_model.h"
#include "tests/fault/mirrored_store.h"
#include "tests/fault/plug_runs.h"
#include "tests/fault/wrong.h"
#include "tests/support/captured_record.h"
#include "tests/support/test_dir.h"
#include "tests/support/view_model.h"

namespace selvage::test {
namespace {

const std::string kReadings = "readings";
const std::string kRows = "rows";
constexpr int kPartitions = 2;
constexpr int64_t kWindowMs = 60'000;

v1::ViewDefinition NewestView() {
  v1::ViewDefinition definition;
  definition.set_name("newest");
  definition.set_stream(kReadings);
  definition.mutable_newest();
  return definition;
}

v1::ViewDefinition TotalsView(const std::string& name, int64_t window_ms) {
  v1::ViewDefinition definition;
  definition.set_name(name);
  definition.set_stream(kReadings);
  v1::ViewAggregate& aggregate = *definition.mutable_aggregate();
  aggregate.add_group_by()->set_path("$key");
  aggregate.add_columns()->set_function(v1::VIEW_COUNT);
  for (const v1::ViewFunction function : {v1::VIEW_SUM, v1::VIEW_MIN, v1::VIEW_MAX, v1::VIEW_DISTINCT}) {
    v1::ViewColumn& column = *aggregate.add_columns();
    column.set_function(function);
    column.set_path("v");
  }
  aggregate.set_window_ms(window_ms);
  if (window_ms > 0) aggregate.set_lateness_ms(window_ms / 2);
  return definition;
}

/// What the producer below wrote.
ViewRecord ViewRecordOf(const Record& record) {
  ViewRecord read;
  read.key = record.key;
  read.value = record.value;
  read.timestamp_ms = record.timestamp;
  long long number = 0;
  if (record.value && std::sscanf(record.value->c_str(), "{\"v\":%lld", &number) == 1) {
    read.is_object = true;
    read.number = number;
  }
  return read;
}

/// A node with views and a table whose changes are captured, over any number of crashes.
class ViewLife {
 public:
  ViewLife(uint64_t seed, std::string directory)
      : random_(seed), node_random_(seed + 1), disk_(std::make_shared<PowerCutFileSystem>(seed + 2)) {
    disk_->AddDirectory(directory.substr(0, directory.rfind('/')));
    engine_options_.path = std::move(directory);
    engine_options_.file_system = disk_;
    engine_options_.on_background_error = [this](const absl::Status&) { failed_ = true; };
    engine_options_.write_buffer_bytes = random_.Between(64, 128) << 10;
    engine_options_.max_wal_bytes = random_.Between(32, 256) << 10;
    node_options_.node = "rig";
    node_options_.commit.clock = &clock_;
    node_options_.commit.on_failure = [this](const absl::Status&) { failed_ = true; };
    // Pieces that end within a batch, and others.
    node_options_.view_piece = {.bytes = random_.Spread(1, 1 << 20), .rows = random_.Spread(1, 100)};
  }
  ~ViewLife() { Close(); }

  PowerCutFileSystem& disk() { return *disk_; }
  bool usable() const { return disk_->powered() && !failed_ && !disk_->struck(); }
  uint64_t records_compared() const { return records_compared_; }
  uint64_t changes_compared() const { return changes_compared_; }

  absl::Status Open() {
    failed_ = false;
    SELVAGE_ASSIGN_OR_RETURN(engine_, RocksDbStore::Open(engine_options_));
    SELVAGE_RETURN_IF_ERROR(mirror_.Compare(*engine_));
    store_ = std::make_unique<MirroredStore>(*engine_, mirror_, /*sync=*/true,
                                             [this] { return disk_->FileBytes(); });
    state_ = std::make_unique<NodeState>(node_options_, *store_, clock_, node_random_);
    return state_->Open({});
  }
  void CutPower() {
    disk_->CutPower();
    Close();
    disk_->RestorePower();
    disk_->Disarm();
  }

  /// Makes what is not there, or does something.
  absl::Status Step() {
    clock_.Advance(absl::Milliseconds(static_cast<int64_t>(random_.Below(20'000))));
    absl::Status done = Make();
    if (done.ok()) done = Work();
    return usable() ? done : absl::OkStatus();
  }

  absl::Status Check() {
    for (const v1::ViewDefinition& view : state_->views().All()) {
      SELVAGE_RETURN_IF_ERROR(Annotate(CheckView(view), "view " + view.name()));
    }
    return CheckCaptured();
  }
  /// Reads all there is, on a good disk, and compares.
  absl::Status CheckAll() {
    SELVAGE_RETURN_IF_ERROR(Make());
    CommitAll();
    for (bool more = true; more;) {
      SELVAGE_ASSIGN_OR_RETURN(more, state_->views().RunOnce());
    }
    for (const v1::ViewDefinition& view : state_->views().All()) {
      SELVAGE_ASSIGN_OR_RETURN(const v1::ViewStatus status, state_->views().Describe(view.name()));
      for (const v1::ViewLog& log : status.logs()) {
        if (log.next() != log.end()) return Wrong("{} has read {} of {}", view.name(), log.next(), log.end());
      }
    }
    return Check();
  }

 private:
  void Close() {
    state_.reset();
    store_.reset();
    engine_.reset();
  }
  void CommitAll() {
    while (usable() && state_->committer().CommitOnce()) {
    }
  }
  std::shared_ptr<EmbeddedLog> LogOf(const std::string& stream, int32_t partition) {
    return state_->embedded_logs().FindEmbedded({"", Slot(0), stream, PartitionId(partition)});
  }

  absl::Status Make() {
    if (!state_->catalog().Find(kReadings) || LogOf(kReadings, kPartitions - 1) == nullptr) {
      v1::StreamDefinition stream;
      stream.set_name(kReadings);
      stream.set_direction(v1::LOCAL);
      stream.set_partitions(kPartitions);
      *stream.mutable_settings() = DefaultStreamSettings();
      SELVAGE_ASSIGN_OR_RETURN(stream, CompleteDefinition(std::move(stream)));
      SELVAGE_RETURN_IF_ERROR(state_->catalog().Put(stream));
      SELVAGE_RETURN_IF_ERROR(state_->streams().CreateLogs(stream));
    }
    if (!state_->tables().Find(kRows)) {
      v1::TableDefinition table;
      table.set_name(kRows);
      table.set_direction(v1::TABLE_LOCAL);
      table.set_incarnation(table::Incarnation::Mint(random_).bytes());
      SELVAGE_ASSIGN_OR_RETURN(table, table::CompleteDefinition(std::move(table)));
      SELVAGE_RETURN_IF_ERROR(state_->tables().Create(table));
    }
    // Before any row is written.
    SELVAGE_ASSIGN_OR_RETURN(const table::TableFacts facts, state_->tables().Facts(kRows));
    if (!facts.capture.on) SELVAGE_RETURN_IF_ERROR(state_->captures().Start(kRows).status());
    for (const v1::ViewDefinition& view :
         {NewestView(), TotalsView("totals", 0), TotalsView("windows", kWindowMs)}) {
      if (state_->tables().Find(view.name())) continue;
      SELVAGE_RETURN_IF_ERROR(state_->views().Create(view).status());
    }
    return absl::OkStatus();
  }

  absl::Status Work() {
    switch (random_.Below(8)) {
      case 0:
      case 1:
        return Produce();
      case 2:
      case 3:
        return WriteRows();
      case 4: {
        state_->captures().RunOnce();
        return state_->tables().RunDue();
      }
      case 5: {
        if (!random_.OneIn(10)) return absl::OkStatus();
        const absl::Status status = state_->views().Rebuild(random_.OneIn(2) ? "newest" : "totals");
        return ErrorKind(status) == "rebuilding" ? absl::OkStatus() : status;
      }
      default:
        return state_->views().RunOnce().status();
    }
  }

  absl::Status Produce() {
    const auto partition = static_cast<int32_t>(random_.Below(kPartitions));
    BatchBuilder builder;
    for (uint64_t left = random_.Between(1, 6); left > 0; --left) {
      Record record;
      record.timestamp =
          absl::ToUnixMillis(clock_.Wall()) - static_cast<int64_t>(random_.Below(2 * kWindowMs));
      // A key is of one partition, as with Kafka's clients.
      record.key = fmt::format("k{}-{}", partition, random_.Below(5));
      const uint64_t kind = random_.Below(12);
      if (kind == 0) {
        record.value = "no JSON";
      } else if (kind > 1) {
        // Beyond 4096 bytes a row goes into a blob file.
        const size_t size = random_.OneIn(6) ? random_.Between(3000, 9000) : random_.Below(50);
        record.value = fmt::format("{{\"v\":{},\"w\":\"{}\"}}", static_cast<int64_t>(random_.Below(100)) - 50,
                                   std::string(size, 'w'));
      }
      builder.Add(record);
    }
    SELVAGE_RETURN_IF_ERROR(LogOf(kReadings, partition)->Append(builder.Build(), [](const auto&) {}));
    if (random_.Chance(0.8)) CommitAll();
    return absl::OkStatus();
  }

  absl::Status WriteRows() {
    for (uint64_t left = random_.Between(1, 3); left > 0; --left) {
      std::vector<table::RowOperation> operations;
      for (uint64_t rows = random_.Between(1, 3); rows > 0; --rows) {
        const std::string key = fmt::format("row-{}", random_.Below(8));
        switch (random_.Below(4)) {
          case 0:
            operations.push_back(table::DeleteOf(key));
            break;
          case 1:
            operations.push_back(table::IncrementOf(key, "n", static_cast<int64_t>(random_.Between(1, 9))));
            break;
          default:
            operations.push_back(table::PutOf(key, fmt::format("{{\"n\":{}}}", random_.Below(1000))));
        }
      }
      state_->tables().Write(kRows, std::move(operations), [](const auto&) {});
    }
    if (random_.Chance(0.8)) CommitAll();
    return absl::OkStatus();
  }

  absl::StatusOr<std::map<std::string, std::string>> RowsOf(const std::string& table) {
    SELVAGE_ASSIGN_OR_RETURN(const table::ScanPage page,
                             state_->tables().Scan(table, {.rows_max = 100'000, .bytes_max = kAll}));
    std::map<std::string, std::string> rows;
    for (const table::RowView& row : page.rows) rows[row.key] = row.json;
    return rows;
  }

  absl::Status CheckView(const v1::ViewDefinition& view) {
    SELVAGE_ASSIGN_OR_RETURN(const v1::ViewStatus status, state_->views().Describe(view.name()));
    std::vector<std::unique_ptr<ViewRecord>> records;
    ViewBuildModel model;
    for (const v1::ViewLog& at : status.logs()) {
      const std::shared_ptr<EmbeddedLog> log = LogOf(kReadings, at.partition());
      SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                               ReadWhole(*log, 1 << 20, /*from_disk=*/true));
      uint64_t read = 0;
      for (const Entry& entry : entries) {
        SELVAGE_ASSIGN_OR_RETURN(const std::vector<Record> batch, DecodeRecords(entry.body.view()));
        for (const Record& record : batch) {
          if (record.offset >= Offset(at.next())) break;
          records.push_back(std::make_unique<ViewRecord>(ViewRecordOf(record)));
          model.Read(view, model.places[log->number()], {entry.max_timestamp, log->number(), record.offset},
                     *records.back());
          ++read;
        }
      }
      if (read != at.records()) return Wrong("{} records are counted as {}", read, at.records());
    }
    records_compared_ += records.size();
    SELVAGE_ASSIGN_OR_RETURN(const auto rows, RowsOf(view.name()));
    std::map<std::string, std::string> expected;
    for (const std::string& key : model.Keys()) {
      if (const auto row = model.Row(key)) expected[key] = *row;
    }
    if (rows == expected) return absl::OkStatus();
    const auto off = std::ranges::mismatch(rows, expected);
    return Wrong("{} rows, and the records make {}; the first that differs is {}, and not {}", rows.size(),
                 expected.size(), off.in1 == rows.end() ? "none" : off.in1->first + off.in1->second,
                 off.in2 == expected.end() ? "none" : off.in2->first + off.in2->second);
  }

  /// Reads the captured changes from the first one on.
  absl::Status CheckCaptured() {
    const std::shared_ptr<EmbeddedLog> log = LogOf(CaptureStreamOf(kRows), 0);
    if (log == nullptr) return absl::OkStatus();
    SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ReadWhole(*log, 1 << 20, /*from_disk=*/true));
    std::map<std::string, std::string> told;
    for (const Entry& entry : entries) {
      SELVAGE_ASSIGN_OR_RETURN(const std::vector<Record> records, DecodeRecords(entry.body.view()));
      for (const Record& record : records) {
        const auto change = CapturedRecordOf(record);
        if (!change) return Wrong("a captured change is none");
        const auto known = told.find(change->key);
        const std::string before = known == told.end() ? "null" : known->second;
        if (change->before != before) {
          return Wrong("a change of {} goes on from {}, and what was there is {}", change->key,
                       change->before, before);
        }
        if (change->after == "null") {
          told.erase(change->key);
        } else {
          told[change->key] = change->after;
        }
        ++changes_compared_;
      }
    }
    SELVAGE_ASSIGN_OR_RETURN(const auto rows, RowsOf(kRows));
    if (told == rows) return absl::OkStatus();
    return Wrong("{} rows are there, and captured changes tell of {}", rows.size(), told.size());
  }

  SeededRandom random_;
  SeededRandom node_random_;
  FakeClock clock_;
  const std::shared_ptr<PowerCutFileSystem> disk_;
  RocksDbOptions engine_options_;
  NodeState::Options node_options_;
  std::atomic<bool> failed_{false};
  Mirror mirror_;
  std::unique_ptr<RocksDbStore> engine_;
  std::unique_ptr<MirroredStore> store_;
  std::unique_ptr<NodeState> state_;
  uint64_t records_compared_ = 0;
  uint64_t changes_compared_ = 0;
};

/// One node and some power cuts. Returns how many.
absl::StatusOr<int> LiveWithViews(ViewLife& life, uint64_t seed, Tally& tally) {
  SeededRandom random(seed);
  SELVAGE_RETURN_IF_ERROR(life.Open());
  constexpr int kCuts = 4;
  for (int cut = 0; cut < kCuts; ++cut) {
    life.disk().Arm(DrawCut(random));
    absl::Status status;
    for (int steps = 0; status.ok() && life.usable() && steps < 250; ++steps) status = life.Step();
    SELVAGE_RETURN_IF_ERROR(status);
    ++tally[NameOf(life.disk().struck())];
    life.CutPower();
    SELVAGE_RETURN_IF_ERROR(life.Open());
    SELVAGE_RETURN_IF_ERROR(life.Check());
  }
  SELVAGE_RETURN_IF_ERROR(life.CheckAll());
  return kCuts;
}

void RunViewLives(uint64_t first_seed, int points) {
  TestDir dir;
  uint64_t cuts = 0, records = 0, changes = 0;
  RunLives(first_seed, points, [&](uint64_t seed, Tally& tally) {
    ViewLife life(seed, dir.path());
    auto had = LiveWithViews(life, seed, tally);
    cuts += static_cast<uint64_t>(had.value_or(0));
    records += life.records_compared();
    changes += life.changes_compared();
    return had;
  });
  EXPECT_GT(records, 100 * cuts) << "or views read next to nothing";
  EXPECT_GT(changes, 30 * cuts) << "or next to nothing was captured";
}

TEST(ViewPowerCut, RowsAreThoseOfTheRecordsThatWereRead) {
  RunViewLives(/*first_seed=*/1, /*points=*/200);
}

TEST(ViewPowerCut, RowsAreThoseOfTheRecordsThatWereReadForFreshSeeds) {
  RunViewLives(FreshSeed(), /*points=*/100);
}

#ifdef SELVAGE_CANARIES
/// How many of so many lives show a bug that is planted.
int LivesThatShow(Canary canary, int lives) {
  TestDir dir;
  ConfigureLog({.level = LogLevel::kError});
  planted_canary = canary;
  int caught = 0;
  for (int seed = 1; seed <= lives; ++seed) {
    Tally tally;
    ViewLife life(static_cast<uint64_t>(seed), dir.path());
    caught += !LiveWithViews(life, static_cast<uint64_t>(seed), tally).ok();
  }
  planted_canary = Canary::kNone;
  return caught;
}

TEST(ViewPowerCut, PlantedBugsAreCaught) {
  EXPECT_GT(LivesThatShow(Canary::kViewPositionBeside, 20), 0);
  EXPECT_GT(LivesThatShow(Canary::kCaptureBeside, 20), 0);
}
#endif

}  // namespace
}  // namespace selvage::test
