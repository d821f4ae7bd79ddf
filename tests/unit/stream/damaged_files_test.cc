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
  EmbeddedLog& log() { return *node_->logs().Find(LogOrigin{"", Slot(0), "sensors", PartitionId(0)}); }

  void Fill(int entries, size_t value_bytes) {
    for (int i = 0; i < entries; ++i) {
      BatchBuilder builder;
      std::string value(value_bytes, '\0');
      for (char& c : value) c = static_cast<char>(random_());
      builder.Add({Offset(0), 1000 + i, std::nullopt, value, {}});
      ASSERT_TRUE(node_->Append(log(), builder.Build()).ok());
    }
    whole_ = AllEntries(log());
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

}  // namespace
}  // namespace selvage
