#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "fabric/storage/rocksdb_store.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/test_dir.h"

namespace selvage {
namespace {

/// Logs in RocksDB, of which bytes of the files are overwritten while nobody has them open.
class DamagedFiles : public ::testing::Test {
 protected:
  DamagedFiles() { Open(); }

  void Open() {
    node_.reset();
    store_.reset();
    auto opened = RocksDbStore::Open(
        {.path = dir_.File("store"), .on_background_error = [this](const auto&) { ++stops_; }});
    SELVAGE_CHECK(opened.ok());
    store_ = *std::move(opened);
    node_ = std::make_unique<LogNode>(*store_, clock_);
  }
  /// What recovery finds in the write-ahead log goes to files.
  void MoveToFiles() {
    Open();
    node_.reset();
    store_.reset();
  }
  EmbeddedLog& log() {
    return *node_->logs().FindEmbedded(LogOrigin{"", Slot(0), "sensors", PartitionId(0)});
  }

  void Fill(int entries, size_t value_bytes) {
    for (int i = 0; i < entries; ++i) {
      BatchBuilder builder;
      std::string value(value_bytes, '\0');
      for (char& c : value) c = static_cast<char>(random_());
      builder.Add({Offset(0), 1000 + i, std::nullopt, value, {}});
      ASSERT_TRUE(node_->Append(log(), builder.Build()).ok());
      auto written = log().Read(log().state().end - 1, 1);
      ASSERT_TRUE(written.ok());
      whole_.push_back(written->front());
    }
  }
  /// Overwrites some bytes in the middle of an entry, in a file of this kind.
  void Damage(const Entry& entry, const std::string& extension) {
    const std::string mark(entry.body.view().substr(entry.body.size() / 2, 32));
    for (const auto& file : std::filesystem::directory_iterator(dir_.File("store"))) {
      if (file.path().extension() != extension) continue;
      const size_t at = test::ReadFile(file.path().string()).find(mark);
      if (at == std::string::npos) continue;
      std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      stream.seekp(static_cast<std::streamoff>(at));
      stream.write("damage", 6);
      ASSERT_TRUE(stream.good());
      return;
    }
    FAIL() << "no " << extension << " file holds it";
  }
  /// Overwrites a table where a whole key of the log lies: each sixteenth or so does.
  void DamageTableNear(Offset offset) {
    for (const auto& file : std::filesystem::directory_iterator(dir_.File("store"))) {
      if (file.path().extension() != ".sst") continue;
      const std::string content = test::ReadFile(file.path().string());
      for (Offset near = offset; near < offset + 64; ++near) {
        const size_t at = content.find(LogKey(LogNumber(1), near));
        if (at == std::string::npos) continue;
        std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
        stream.seekp(static_cast<std::streamoff>(at));
        stream.write("damage", 6);
        ASSERT_TRUE(stream.good());
        return;
      }
    }
    FAIL() << "no table holds it";
  }
  absl::Status CompactTables() {
    return store_->Reclaim(Family::kLog, LogKey(LogNumber(0), Offset(0)), LogKey(LogNumber(99), Offset(0)));
  }
  absl::Status Mend() {
    return store_->MendTables(
        [this](std::string_view from, std::string_view to) { return node_->logs().LiveEntries(from, to); });
  }
  /// Whatever the store did before, it compacts now.
  void ExpectMended() {
    const absl::Status mended = Mend();
    ASSERT_TRUE(mended.ok()) << mended;
    EXPECT_TRUE(store_->table_damage().ok());
    Fill(1, 300);
    EXPECT_TRUE(CompactTables().ok());
  }
  /// Reads every offset, and with it finds what is damaged.
  std::vector<LogDamage> FindAll() {
    for (Offset at = log().state().start; at < log().state().end; ++at) {
      auto entries = log().Read(at, 1, /*from_disk=*/true);
      if (entries.ok()) {
        EXPECT_LE(entries->front().from, at);
        EXPECT_GT(entries->front().to, at);
      } else {
        EXPECT_EQ(KindOfError(entries), "corrupt_entry") << entries.status();
      }
    }
    return log().damages();
  }
  void Replace(const LogDamage& damage) {
    std::vector<FlowEntry> entries;
    for (const Entry& entry : whole_) {
      if (entry.from >= damage.from && entry.to <= damage.to) entries.push_back(ToReplica(entry));
    }
    absl::Status outcome = absl::UnknownError("not called");
    const Fence fence{"rig", SessionEpoch(1)};
    node_->RaiseFence(fence);
    ASSERT_TRUE(
        log().Replace(std::move(entries), fence, [&](const auto& done) { outcome = done.status(); }).ok());
    node_->CommitAll();
    ASSERT_TRUE(outcome.ok()) << outcome;
  }
  void ExpectWhole() {
    EXPECT_TRUE(FindAll().empty());
    for (const Entry& entry : whole_) {
      auto read = log().Read(entry.from, 1, /*from_disk=*/true);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(read->front().body.view(), entry.body.view());
      EXPECT_EQ(read->front().hash_before, entry.hash_before);
      EXPECT_EQ(read->front().hash_after, entry.hash_after);
    }
    EXPECT_EQ(stops_, 0);
  }

  test::TestDir dir_;
  FakeClock clock_;
  std::mt19937 random_{3};
  std::atomic<int> stops_{0};
  std::unique_ptr<RocksDbStore> store_;
  std::unique_ptr<LogNode> node_;
  std::vector<Entry> whole_;
};

TEST_F(DamagedFiles, AValueInABlobFileIsOneEntry) {
  node_->Source();
  Fill(30, 20'000);
  MoveToFiles();
  for (int i : {7, 20}) Damage(whole_[static_cast<size_t>(i)], ".blob");
  Open();
  EXPECT_TRUE(node_->problems().empty());
  const std::vector<LogDamage> damages = FindAll();
  ASSERT_EQ(damages.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const Entry& entry = whole_[i == 0 ? 7 : 20];
    EXPECT_EQ(damages[i].from, entry.from);
    EXPECT_EQ(damages[i].to, entry.to);
    EXPECT_EQ(damages[i].hash_before, entry.hash_before);
    EXPECT_EQ(damages[i].hash_after, entry.hash_after);
    EXPECT_EQ(damages[i].bytes, entry.body.size());
    Replace(damages[i]);
  }
  ExpectWhole();
  Open();
  ExpectWhole();
}

TEST_F(DamagedFiles, ABlockOfATableIsAFewNeighbours) {
  node_->Source();
  Fill(400, 300);
  MoveToFiles();
  Damage(whole_[170], ".sst");
  Open();
  EXPECT_TRUE(node_->problems().empty());
  const std::vector<LogDamage> damages = FindAll();
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_LE(damages[0].from, Offset(170));
  EXPECT_GT(damages[0].to, Offset(170));
  EXPECT_LT(damages[0].to - damages[0].from, 20);
  Replace(damages[0]);
  ExpectWhole();
  Open();
  ExpectWhole();
}

TEST_F(DamagedFiles, ABlockOfATableBecomesAGap) {
  node_->Source();
  Fill(400, 300);
  MoveToFiles();
  Damage(whole_[170], ".sst");
  Open();
  ASSERT_TRUE(log().Quarantine(Offset(170)).ok());
  EXPECT_TRUE(FindAll().empty());
  auto gap = log().Read(Offset(170), 1, /*from_disk=*/true);
  ASSERT_TRUE(gap.ok()) << gap.status();
  EXPECT_EQ(gap->front().kind, EntryKind::kGap);
  EXPECT_EQ(gap->front().hash_after, whole_[static_cast<size_t>(gap->front().to.value())].hash_before);
  EXPECT_EQ(stops_, 0);
}

TEST_F(DamagedFiles, TheFirstBlocksAndTheLastOnes) {
  node_->Source();
  Fill(400, 300);
  MoveToFiles();
  Damage(whole_[0], ".sst");
  Damage(whole_[399], ".sst");
  Open();
  ASSERT_EQ(node_->problems().size(), 1u) << "nobody knows what came last";
  EXPECT_LT(log().state().end, Offset(400));
  EXPECT_GT(log().state().end, Offset(370));
  ASSERT_TRUE(log().AcceptLoss(Offset(400)).ok());
  const std::vector<LogDamage> damages = FindAll();
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_EQ(damages[0].from, Offset(0));
  Replace(damages[0]);
  EXPECT_TRUE(FindAll().empty());
  Open();
  EXPECT_TRUE(node_->problems().empty()) << "what was written anew is found behind the damaged block";
  EXPECT_EQ(log().state().end, Offset(400));
  EXPECT_TRUE(FindAll().empty());
}

TEST_F(DamagedFiles, ATableIsMendedWhenWhatItHeldIsWholeAgain) {
  node_->Source();
  EmbeddedLog& other = node_->Create(LogOrigin{"", Slot(0), "events", PartitionId(0)}, 2);
  Fill(400, 300);
  ASSERT_TRUE(node_->Append(other, ProducedBatch(3)).ok());
  MoveToFiles();
  Open();
  ASSERT_TRUE(CompactTables().ok()) << "into one table of level 1";
  MoveToFiles();
  Damage(whole_[170], ".sst");
  Open();
  Fill(1, 300);
  EXPECT_FALSE(CompactTables().ok());
  EXPECT_FALSE(store_->table_damage().ok());
  EXPECT_EQ(Mend().code(), absl::StatusCode::kDataLoss) << "it waits for the other copy";
  const std::vector<LogDamage> damages = FindAll();
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_EQ(Mend().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(FindAll().size(), 1u) << "nothing became of it meanwhile";
  Replace(damages[0]);
  ExpectMended();
  ExpectWhole();
  // A cursor steps across what was damaged.
  auto read = log().Read(Offset(0), kAll, /*from_disk=*/true);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->size(), whole_.size());
  Open();
  EXPECT_TRUE(node_->problems().empty());
  ExpectWhole();
}

TEST_F(DamagedFiles, ATableIsMendedWhenWhatItHeldIsGivenUp) {
  node_->Source();
  Fill(400, 300);
  MoveToFiles();
  Damage(whole_[170], ".sst");
  Damage(whole_[300], ".sst");
  Open();
  Fill(1, 300);
  EXPECT_FALSE(CompactTables().ok());
  ASSERT_TRUE(log().Quarantine(Offset(170)).ok());
  EXPECT_EQ(Mend().code(), absl::StatusCode::kDataLoss) << "another waits";
  ASSERT_TRUE(log().Quarantine(Offset(300)).ok());
  const std::string shape = Shape(AllEntries(log()));
  ExpectMended();
  EXPECT_TRUE(FindAll().empty());
  EXPECT_THAT(Shape(AllEntries(log())), ::testing::StartsWith(shape));
  Open();
  EXPECT_TRUE(node_->problems().empty());
  EXPECT_THAT(Shape(AllEntries(log())), ::testing::StartsWith(shape));
}

TEST_F(DamagedFiles, ATableIsMendedWhenWhatItHeldIsTrimmed) {
  node_->Source();
  Fill(400, 300);
  MoveToFiles();
  Damage(whole_[170], ".sst");
  Open();
  Fill(1, 300);
  EXPECT_FALSE(CompactTables().ok());
  ASSERT_TRUE(log().Trim(Offset(100), std::nullopt, GapReason::kExpired).ok());
  EXPECT_FALSE(Mend().ok());
  ASSERT_TRUE(log().Trim(Offset(200), std::nullopt, GapReason::kExpired).ok());
  ExpectMended();
  EXPECT_TRUE(FindAll().empty());
  EXPECT_EQ(log().state().start, Offset(200));
}

TEST_F(DamagedFiles, ATableIsMendedWhenWhatItHeldIsDeleted) {
  node_->Source();
  Fill(400, 300);
  MoveToFiles();
  Damage(whole_[170], ".sst");
  Open();
  Fill(1, 300);
  EXPECT_FALSE(CompactTables().ok());
  ASSERT_EQ(*node_->logs().DeleteStream("sensors", [](WriteBatch&) {}), 1);
  node_->Source(2);
  ExpectMended();
  EXPECT_TRUE(FindAll().empty());
  EXPECT_EQ(log().state().end, Offset(1));
}

TEST_F(DamagedFiles, ATableOfReferencesToValuesIsReplaced) {
  node_->Source();
  EmbeddedLog& other = node_->Create(LogOrigin{"", Slot(0), "events", PartitionId(0)}, 2);
  Fill(600, 5000);
  ASSERT_TRUE(node_->Append(other, ProducedBatch(3)).ok());
  MoveToFiles();
  Open();
  ASSERT_TRUE(CompactTables().ok()) << "into one table of level 1";
  MoveToFiles();
  DamageTableNear(Offset(200));
  Open();
  Fill(1, 5000);
  EXPECT_FALSE(CompactTables().ok());
  const std::vector<LogDamage> damages = FindAll();
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_GT(damages[0].to - damages[0].from, 20) << "many references lie in one block";
  EXPECT_FALSE(Mend().ok());
  Replace(damages[0]);
  ExpectMended();
  ExpectWhole();
  Open();
  ExpectWhole();
}

TEST_F(DamagedFiles, WhatLiesBesideADamagedBlockIsNotTakenForDamaged) {
  node_->Source();
  Fill(600, 5000);
  MoveToFiles();
  DamageTableNear(Offset(200));
  Open();
  int unreadable = 0;
  for (Offset at(0); at < log().state().end; ++at) {
    unreadable += !store_->Get(Family::kLog, LogKey(LogNumber(1), at)).ok();
  }
  const std::vector<LogDamage> damages = FindAll();
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_EQ(damages[0].to - damages[0].from, unreadable);
}

}  // namespace
}  // namespace selvage
