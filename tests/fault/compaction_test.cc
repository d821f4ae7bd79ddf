// Power cuts while a log is compacted: whatever happens, it is a log, and the newest record of each key is in
// it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "fabric/base/error.h"
#include "fabric/storage/rocksdb_store.h"
#include "fabric/stream/log_compaction.h"
#include "tests/contract/log/log_node.h"
#include "tests/fault/log_model.h"
#include "tests/fault/plug_runs.h"
#include "tests/fault/wrong.h"
#include "tests/support/test_dir.h"

namespace selvage::test {
namespace {

/// One compacted log over any number of crashes.
class CompactedLife {
 public:
  CompactedLife(uint64_t seed, const std::string& directory)
      : random_(seed), disk_(std::make_shared<PowerCutFileSystem>(seed + 1)) {
    disk_->AddDirectory(directory.substr(0, directory.rfind('/')));
    options_.path = directory;
    options_.file_system = disk_;
    options_.write_buffer_bytes = random_.Between(64, 512) << 10;
    options_.max_wal_bytes = random_.Between(64, 512) << 10;
    settings_.set_cleanup(v1::CLEANUP_COMPACT);
    settings_.set_delete_retention_ms(random_.Between(1, 60) * 60'000);
  }
  ~CompactedLife() { Close(); }

  PowerCutFileSystem& disk() { return *disk_; }
  bool usable() const { return disk_->powered() && !disk_->struck(); }
  int passes() const { return passes_; }

  absl::Status Open() {
    SELVAGE_ASSIGN_OR_RETURN(engine_, RocksDbStore::Open(options_));
    node_ = std::make_unique<LogNode>(*engine_, clock_);
    log_ = node_->logs().FindEmbedded(kOrigin);
    if (log_ == nullptr) log_ = node_->Create(kOrigin).shared_from_this();
    compaction_ = std::make_unique<LogCompaction>(log_, /*keys_max=*/random_.Between(3, 40));
    return log_->held();
  }
  void CutPower() {
    disk_->CutPower();
    Close();
    disk_->RestorePower();
    disk_->Disarm();
  }
  absl::Status Step() {
    clock_.Advance(absl::Seconds(static_cast<int64_t>(random_.Below(100))));
    const absl::Status status = random_.Chance(0.6) ? Write() : Compact();
    return usable() ? status : absl::OkStatus();
  }
  /// Reads everything and compares.
  absl::Status Check() {
    SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ReadWhole(*log_, 100'000, /*from_disk=*/true));
    Newest found;
    for (const Entry& entry : entries) {
      if (entry.kind == EntryKind::kGap) continue;
      SELVAGE_ASSIGN_OR_RETURN(const std::vector<Record> records, DecodeRecords(entry.body.view()));
      for (const Record& record : records) found[*record.key] = {record.offset, record.value};
    }
    if (!node_->logs().Losses()->empty()) return Wrong("what was compacted counts as lost");
    // What was under way in the crash is there whole, or not at all.
    if (log_->state().end == pending_end_) wrote_ = pending_;
    for (const auto& [key, wrote] : wrote_) {
      const auto at = found.find(key);
      if (at == found.end() && !wrote.second) continue;  // a tombstone that may have gone
      if (at == found.end()) return Wrong("key {} is gone, written at {}", key, wrote.first.value());
      if (at->second != wrote) {
        return Wrong("key {} is found as at {}, and was written last at {}", key, at->second.first.value(),
                     wrote.first.value());
      }
    }
    return found.size() <= wrote_.size() ? absl::OkStatus() : Wrong("a key that nobody wrote");
  }

 private:
  using Newest = std::map<std::string, std::pair<Offset, std::optional<std::string>>>;
  inline static const LogOrigin kOrigin{"", Slot(0), "settings", PartitionId(0)};

  void Close() {
    compaction_.reset();
    log_.reset();
    node_.reset();
    engine_.reset();
  }

  absl::Status Write() {
    constexpr Codec kCodecs[] = {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd};
    BatchBuilder builder(kCodecs[random_.Below(5)]);
    pending_ = wrote_;
    Offset at = log_->state().end;
    for (uint64_t left = random_.Between(1, 5); left > 0; --left, ++at) {
      const std::string key = std::to_string(random_.Spread(0, 60));
      std::optional<std::string> value;
      if (random_.Chance(0.85)) value = random_.Bytes(random_.Spread(1, 60'000));
      builder.Add({Offset(0), 1000, key, value, {}});
      pending_[key] = {at, value};
    }
    pending_end_ = at;
    SELVAGE_RETURN_IF_ERROR(node_->Append(*log_, builder.Build()).status());
    wrote_ = pending_;
    return absl::OkStatus();
  }

  absl::Status Compact() {
    const Offset before = log_->compaction().to;
    auto work = compaction_->Run(settings_, node_->ages().NowMs(), random_.Spread(1, 3u << 20));
    passes_ += log_->compaction().to > before;
    return work.status();
  }

  SeededRandom random_;
  FakeClock clock_;
  const std::shared_ptr<PowerCutFileSystem> disk_;
  RocksDbOptions options_;
  v1::StreamSettings settings_;
  std::unique_ptr<RocksDbStore> engine_;
  std::unique_ptr<LogNode> node_;
  std::shared_ptr<EmbeddedLog> log_;
  std::unique_ptr<LogCompaction> compaction_;
  Newest wrote_;
  Newest pending_;
  Offset pending_end_{-1};
  int passes_ = 0;
};

TEST(CompactionPowerCut, TheNewestOfEachKeySurvives) {
  TestDir dir;
  int passes = 0;
  RunLives(/*first_seed=*/1, /*points=*/60, [&](uint64_t seed, Tally& tally) -> absl::StatusOr<int> {
    SeededRandom random(seed);
    CompactedLife life(seed, dir.path());
    SELVAGE_RETURN_IF_ERROR(life.Open());
    constexpr int kCuts = 3;
    for (int cut = 0; cut < kCuts; ++cut) {
      life.disk().Arm(
          {.kind = Fault::Kind::kPowerCut, .after = random.Between(1, 600), .takes_effect = random.OneIn(3)});
      absl::Status status;
      for (int steps = 0; status.ok() && life.usable() && steps < 250; ++steps) status = life.Step();
      SELVAGE_RETURN_IF_ERROR(status);
      ++tally[NameOf(life.disk().struck())];
      life.CutPower();
      SELVAGE_RETURN_IF_ERROR(life.Open());
      SELVAGE_RETURN_IF_ERROR(life.Check());
    }
    passes += life.passes();
    return kCuts;
  });
  EXPECT_GT(passes, 10) << "or nothing was compacted";
}

}  // namespace
}  // namespace selvage::test
