#include "fabric/storage/rocksdb_store.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "tests/support/eventually.h"
#include "tests/support/test_dir.h"

namespace selvage {
namespace {

constexpr size_t kValueBytes = 256 << 10;

std::string LogKey(uint32_t log, uint64_t offset) {
  std::string key;
  AppendBig(key, log);
  AppendBig(key, offset);
  return key;
}

std::string Value(uint32_t log, uint64_t offset) {
  std::string value(kValueBytes, '\0');
  uint64_t state = (uint64_t{log} << 32) + offset + 1;
  for (size_t i = 0; i + sizeof state <= value.size(); i += sizeof state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    StoreBig(value.data() + i, state);
  }
  return value;
}

class RocksDbStoreTest : public ::testing::Test {
 protected:
  void Open(RocksDbOptions options = {}) {
    store_.reset();
    options.path = dir_.File("store");
    auto opened = RocksDbStore::Open(std::move(options));
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = std::move(*opened);
  }
  absl::Status Append(uint32_t log, uint64_t offset, bool sync = false) {
    auto batch = store_->NewBatch();
    batch->Put(Family::kLog, LogKey(log, offset), {Value(log, offset)});
    return store_->Write(*batch, sync);
  }
  absl::Status Trim(uint32_t log, uint64_t from, uint64_t to) {
    auto batch = store_->NewBatch();
    batch->DeleteRange(Family::kLog, LogKey(log, from), LogKey(log, to));
    const absl::Status written = store_->Write(*batch, /*sync=*/true);
    return written.ok() ? store_->Reclaim(Family::kLog, LogKey(log, from), LogKey(log, to)) : written;
  }
  /// Offsets of the log whose stored value is what was appended; a wrong value counts as -1.
  std::vector<int> Intact(uint32_t log) {
    std::vector<int> offsets;
    auto cursor = store_->Scan(Family::kLog, LogKey(log, 0), LogKey(log + 1, 0));
    for (cursor->Seek(""); cursor->Valid(); cursor->Next()) {
      const auto offset = LoadBig<uint64_t>(cursor->key().data() + 4);
      offsets.push_back(cursor->value() == Value(log, offset) ? static_cast<int>(offset) : -1);
    }
    EXPECT_TRUE(cursor->status().ok()) << cursor->status();
    return offsets;
  }
  double FileMiB() { return static_cast<double>(store_->FileBytes().value()) / (1 << 20); }
  /// Writes `count` entries to each of the logs, in turn.
  void Interleave(std::initializer_list<uint32_t> logs, uint64_t count) {
    for (uint64_t offset = 0; offset < count; ++offset) {
      for (uint32_t log : logs) ASSERT_TRUE(Append(log, offset).ok());
    }
  }
  std::vector<std::filesystem::path> BlobFiles() {
    std::vector<std::filesystem::path> files;
    for (const auto& file : std::filesystem::directory_iterator(dir_.File("store"))) {
      if (file.path().extension() == ".blob") files.push_back(file.path());
    }
    return files;
  }

  /// Overwrites some bytes of the stored value of one entry. The store must be closed.
  bool Damage(uint32_t log, uint64_t offset) {
    const std::string mark = Value(log, offset).substr(0, 64);
    for (const auto& path : BlobFiles()) {
      const size_t at = test::ReadFile(path.string()).find(mark);
      if (at == std::string::npos) continue;
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(at + kValueBytes / 2));
      file.write("damage", 6);
      return file.good();
    }
    return false;
  }

  /// Overwrites some bytes of a small value, which lies in a table. The store must be closed.
  bool DamageTable(const std::string& value) {
    for (const auto& entry : std::filesystem::directory_iterator(dir_.File("store"))) {
      if (entry.path().extension() != ".sst") continue;
      const size_t at = test::ReadFile(entry.path().string()).find(value);
      if (at == std::string::npos) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(at + 10));
      file.write("damage", 6);
      return file.good();
    }
    return false;
  }

  test::TestDir dir_;
  std::unique_ptr<RocksDbStore> store_;
};

std::vector<int> Numbers(int from, int to) {
  std::vector<int> numbers;
  for (int i = from; i < to; ++i) numbers.push_back(i);
  return numbers;
}

TEST_F(RocksDbStoreTest, ReclaimGivesBackOneOfTwoInterleavedLogs) {
  Open();
  Interleave({1, 2}, 200);
  ASSERT_TRUE(
      store_->Reclaim(Family::kLog, LogKey(0, 0), LogKey(9, 0)).ok());  // flush, to compare like with like
  const double before = FileMiB();
  EXPECT_GT(before, 99);
  ASSERT_TRUE(Trim(1, 0, 200).ok());
  EXPECT_LT(FileMiB(), before - 45);
  EXPECT_EQ(Intact(1), std::vector<int>());
  EXPECT_EQ(Intact(2), Numbers(0, 200));
  Open();
  EXPECT_EQ(Intact(1), std::vector<int>());
  EXPECT_EQ(Intact(2), Numbers(0, 200));
}

TEST_F(RocksDbStoreTest, ReclaimOfTheOldEndCopiesNextToNothing) {
  Open();
  Interleave({1}, 400);
  ASSERT_TRUE(store_->Reclaim(Family::kLog, LogKey(0, 0), LogKey(9, 0)).ok());
  std::vector<std::filesystem::path> before = BlobFiles();
  ASSERT_TRUE(Trim(1, 0, 200).ok());
  EXPECT_LT(FileMiB(), 60);
  int made = 0;
  for (const auto& file : BlobFiles()) made += std::find(before.begin(), before.end(), file) == before.end();
  EXPECT_LE(made, 1) << "only the file that the trim cut in two may be written anew";
  EXPECT_EQ(Intact(1), Numbers(200, 400));
}

TEST_F(RocksDbStoreTest, ReclaimDoesNotBringDeletedEntriesBack) {
  Open({.write_buffer_bytes = 1 << 20});
  for (int round = 0; round < 4; ++round) {
    Interleave({1, 2, 3}, 20);
    ASSERT_TRUE(Trim(2, 0, 7).ok());
    ASSERT_TRUE(Trim(2, 7, 20).ok());
    EXPECT_EQ(Intact(2), std::vector<int>());
    EXPECT_EQ(Intact(1), Numbers(0, 20));
    EXPECT_EQ(Intact(3), Numbers(0, 20));
  }
}

TEST_F(RocksDbStoreTest, WritersGoOnDuringReclaim) {
  Open();
  Interleave({1, 2}, 200);
  std::atomic<bool> reclaiming{true};
  std::atomic<int> written{0};
  std::atomic<int> failed{0};
  std::thread writer([&] {
    for (uint64_t offset = 0; reclaiming; ++offset) {
      failed += !Append(3, offset, /*sync=*/true).ok();
      ++written;
    }
  });
  EXPECT_TRUE(Trim(1, 0, 200).ok());
  reclaiming = false;
  writer.join();
  EXPECT_GT(written, 0);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(Intact(2), Numbers(0, 200));
  EXPECT_EQ(Intact(3), Numbers(0, written));
}

TEST_F(RocksDbStoreTest, ReclaimCanBeCancelled) {
  Open();
  Interleave({1, 2}, 100);
  store_->CancelReclaim();
  const absl::Status cancelled = Trim(1, 0, 100);
  EXPECT_EQ(cancelled.code(), absl::StatusCode::kCancelled) << cancelled;
  EXPECT_TRUE(Append(1, 100, /*sync=*/true).ok());
  EXPECT_EQ(Intact(2), Numbers(0, 100));
}

TEST_F(RocksDbStoreTest, ADamagedValueIsDataLossForThatEntryAlone) {
  Open();
  Interleave({1, 2}, 60);
  ASSERT_TRUE(store_->Reclaim(Family::kLog, LogKey(0, 0), LogKey(9, 0)).ok());
  store_.reset();
  ASSERT_TRUE(Damage(2, 0));
  std::atomic<int> stops{0};
  Open({.on_background_error = [&](const absl::Status&) { ++stops; }});
  EXPECT_EQ(store_->Get(Family::kLog, LogKey(2, 0)).status().code(), absl::StatusCode::kDataLoss);
  auto cursor = store_->Scan(Family::kLog, LogKey(2, 0), LogKey(3, 0));
  cursor->Seek("");
  EXPECT_FALSE(cursor->Valid());
  EXPECT_EQ(cursor->status().code(), absl::StatusCode::kDataLoss);
  cursor->Seek(LogKey(2, 1));
  ASSERT_TRUE(cursor->Valid());
  EXPECT_TRUE(cursor->value() == Value(2, 1));
  EXPECT_TRUE(cursor->status().ok());

  EXPECT_EQ(Trim(1, 0, 60).code(), absl::StatusCode::kDataLoss) << "the damaged value cannot be copied";
  EXPECT_EQ(stops, 0);
  EXPECT_TRUE(Append(2, 60, /*sync=*/true).ok());
  ASSERT_TRUE(Trim(2, 0, 1).ok()) << "without it, reclaiming goes on";
  EXPECT_EQ(Intact(2), Numbers(1, 61));
}

/// A table of small values, of which a block is damaged.
class DamagedTableTest : public RocksDbStoreTest {
 protected:
  static std::string Small(uint64_t offset) {
    return fmt::format("value of {:08} ", offset) + std::string(480, 'v');
  }
  absl::Status Put(uint64_t first, uint64_t count, bool anew = false) {
    auto batch = store_->NewBatch();
    if (anew) batch->DeleteRange(Family::kLog, LogKey(1, first), LogKey(1, first + count));
    for (uint64_t i = first; i < first + count; ++i) batch->Put(Family::kLog, LogKey(1, i), {Small(i)});
    return store_->Write(*batch, /*sync=*/true);
  }
  absl::Status Reclaim() { return store_->Reclaim(Family::kLog, LogKey(0, 0), LogKey(9, 0)); }
  void OpenDamaged(std::initializer_list<uint64_t> offsets) {
    store_.reset();
    for (uint64_t offset : offsets) ASSERT_TRUE(DamageTable(Small(offset)));
    Open({.write_buffer_bytes = 64 << 10, .on_background_error = [&](const absl::Status&) { ++stops_; }});
  }
  /// What cannot be read of [0, end), by single keys.
  std::vector<uint64_t> Unreadable(uint64_t end) {
    std::vector<uint64_t> unreadable;
    for (uint64_t i = 0; i < end; ++i) {
      auto got = store_->Get(Family::kLog, LogKey(1, i));
      if (got.ok()) continue;
      EXPECT_EQ(got.status().code(), absl::StatusCode::kDataLoss);
      unreadable.push_back(i);
    }
    return unreadable;
  }
  /// Each of [0, end) is alive.
  static absl::StatusOr<LiveKeys> AllLive(std::string_view from, std::string_view to) {
    LiveKeys live;
    live.closed.emplace_back(from, to);
    for (uint64_t i = LoadBig<uint64_t>(from.data() + 4); LogKey(1, i) < to; ++i)
      live.keys.push_back(LogKey(1, i));
    return live;
  }
  void ExpectAll(uint64_t end) {
    for (uint64_t i = 0; i < end; ++i) EXPECT_EQ(*store_->Get(Family::kLog, LogKey(1, i)), Small(i)) << i;
    auto cursor = store_->Scan(Family::kLog, LogKey(1, 0), LogKey(2, 0));
    uint64_t found = 0;
    for (cursor->Seek(""); cursor->Valid(); cursor->Next()) ++found;
    EXPECT_TRUE(cursor->status().ok()) << cursor->status();
    EXPECT_EQ(found, end);
  }
  size_t Tables() {
    size_t tables = 0;
    for (const auto& file : std::filesystem::directory_iterator(dir_.File("store"))) {
      tables += file.path().extension() == ".sst";
    }
    return tables;
  }

  std::atomic<int> stops_{0};
};

TEST_F(DamagedTableTest, StopsCompactionsAndNothingElse) {
  Open();
  ASSERT_TRUE(Put(0, 200).ok());
  ASSERT_TRUE(Reclaim().ok());
  OpenDamaged({100});
  const std::vector<uint64_t> unreadable = Unreadable(200);
  ASSERT_GT(unreadable.size(), 1u) << "several neighbours lie in one block";
  EXPECT_LT(unreadable.size(), 20u);
  ASSERT_TRUE(Put(unreadable.front(), unreadable.size(), /*anew=*/true).ok());
  auto cursor = store_->Scan(Family::kLog, LogKey(1, 0), LogKey(2, 0));
  for (uint64_t i = 0; i < 200; ++i) {
    EXPECT_EQ(*store_->Get(Family::kLog, LogKey(1, i)), Small(i));
    cursor->Seek(LogKey(1, i));
    ASSERT_TRUE(cursor->Valid()) << i;
    EXPECT_EQ(cursor->value(), Small(i));
  }
  cursor.reset();

  EXPECT_TRUE(store_->table_damage().ok()) << "reads tell whoever reads";
  EXPECT_EQ(Reclaim().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(store_->table_damage().code(), absl::StatusCode::kDataLoss);
  const uint64_t end = 200 + 150 * 200;
  // More tables than would stop writers.
  for (uint64_t i = 200; i < end; i += 200) ASSERT_TRUE(Put(i, 200).ok());
  EXPECT_EQ(stops_, 0);
  for (uint64_t i = 0; i < end; ++i) EXPECT_EQ(*store_->Get(Family::kLog, LogKey(1, i)), Small(i));
  EXPECT_GT(Tables(), 100u);

  // Mended, it compacts by itself again.
  ASSERT_TRUE(store_->MendTables(AllLive).ok());
  EXPECT_TRUE(store_->table_damage().ok());
  ExpectAll(end);
  for (int round = 0; round < 150; ++round) ASSERT_TRUE(Put(0, 200).ok());
  EXPECT_TRUE(test::Eventually(absl::Seconds(30), [&] { return Tables() < 20; })) << Tables();
  ExpectAll(end);
  EXPECT_TRUE(Reclaim().ok());
  Open();
  ExpectAll(end);
}

TEST_F(DamagedTableTest, IsMendedOnceWhatItHeldIsDealtWith) {
  Open();
  ASSERT_TRUE(Put(0, 400).ok());
  ASSERT_TRUE(Reclaim().ok());
  OpenDamaged({100, 250, 399});
  const std::vector<uint64_t> unreadable = Unreadable(400);
  ASSERT_TRUE(Put(0, 1, /*anew=*/true).ok());  // so that there is something to compact
  EXPECT_FALSE(Reclaim().ok());
  const auto waits = [](std::string_view, std::string_view) {
    return absl::StatusOr<LiveKeys>(absl::DataLossError("it waits for the other copy"));
  };
  EXPECT_FALSE(store_->MendTables(waits).ok());
  EXPECT_FALSE(store_->table_damage().ok());
  EXPECT_EQ(Unreadable(400), unreadable) << "nothing vanishes meanwhile";
  // A part is written anew, another is given up: deleted with nothing in its place.
  uint64_t deleted = 0;
  for (uint64_t offset : unreadable) {
    auto batch = store_->NewBatch();
    if (offset < 200) {
      batch->Put(Family::kLog, LogKey(1, offset), {Small(offset)});
    } else {
      batch->DeleteRange(Family::kLog, LogKey(1, offset), LogKey(1, offset + 1));
      ++deleted;
    }
    ASSERT_TRUE(store_->Write(*batch, true).ok());
  }
  const auto live = [&](std::string_view from, std::string_view to) {
    absl::StatusOr<LiveKeys> found = AllLive(from, to);
    std::erase_if(found->keys, [&](const std::string& key) {
      const auto offset = LoadBig<uint64_t>(key.data() + 4);
      return offset >= 400 ||
             (offset >= 200 && std::find(unreadable.begin(), unreadable.end(), offset) != unreadable.end());
    });
    return found;
  };
  const absl::Status mended = store_->MendTables(live);
  ASSERT_TRUE(mended.ok()) << mended;
  EXPECT_TRUE(store_->table_damage().ok());
  EXPECT_TRUE(Reclaim().ok());
  for (const bool reopened : {false, true}) {
    if (reopened) Open();
    uint64_t found = 0;
    auto cursor = store_->Scan(Family::kLog, LogKey(1, 0), LogKey(2, 0));
    for (cursor->Seek(""); cursor->Valid(); cursor->Next()) {
      EXPECT_EQ(cursor->value(), Small(LoadBig<uint64_t>(cursor->key().data() + 4)));
      ++found;
    }
    EXPECT_TRUE(cursor->status().ok()) << cursor->status();
    EXPECT_EQ(found, 400 - deleted);
  }
  EXPECT_EQ(stops_, 0);
}

TEST_F(DamagedTableTest, OfLevelZeroIsMendedTogetherWithOlderTables) {
  Open();
  ASSERT_TRUE(Put(0, 200).ok());
  ASSERT_TRUE(Reclaim().ok());
  // Flushed at the next start, over a part of what is there.
  ASSERT_TRUE(Put(50, 100, /*anew=*/true).ok());
  Open();
  OpenDamaged({100});
  const std::vector<uint64_t> unreadable = Unreadable(200);
  ASSERT_FALSE(unreadable.empty());
  EXPECT_FALSE(Reclaim().ok());
  ASSERT_TRUE(Put(unreadable.front(), unreadable.size(), /*anew=*/true).ok());
  const absl::Status mended = store_->MendTables(AllLive);
  ASSERT_TRUE(mended.ok()) << mended;
  ExpectAll(200);
  EXPECT_TRUE(Reclaim().ok());
}

TEST_F(DamagedTableTest, IsReplacedWhereItsFirstBlockIsDamaged) {
  Open();
  ASSERT_TRUE(Put(0, 200).ok());
  ASSERT_TRUE(Reclaim().ok());
  OpenDamaged({0});
  const std::vector<uint64_t> unreadable = Unreadable(200);
  ASSERT_TRUE(Put(unreadable.front(), unreadable.size(), /*anew=*/true).ok());
  EXPECT_FALSE(Reclaim().ok());
  const absl::Status mended = store_->MendTables(AllLive);
  ASSERT_TRUE(mended.ok()) << mended;
  ExpectAll(200);
  EXPECT_TRUE(Reclaim().ok());
  EXPECT_EQ(stops_, 0);
}

TEST_F(DamagedTableTest, AtLevelZeroWithItsFirstBlockDamagedStaysAsItIs) {
  Open();
  ASSERT_TRUE(Put(0, 200).ok());
  Open();
  OpenDamaged({0});
  const std::vector<uint64_t> unreadable = Unreadable(200);
  ASSERT_TRUE(Put(unreadable.front(), unreadable.size(), /*anew=*/true).ok());
  EXPECT_FALSE(Reclaim().ok());
  EXPECT_FALSE(store_->MendTables(AllLive).ok());
  EXPECT_FALSE(store_->table_damage().ok());
  for (uint64_t i = 0; i < 200; ++i) EXPECT_EQ(*store_->Get(Family::kLog, LogKey(1, i)), Small(i));
  EXPECT_EQ(stops_, 0);
}

TEST_F(DamagedTableTest, OfAnotherFamilyIsMendedByWhatItHolds) {
  const auto key = [](int i) { return fmt::format("group-{:04}", i); };
  const auto value = [](int i) { return fmt::format("document of {:04}", i) + std::string(200, 'x'); };
  const auto put = [&](int from, int to) {
    auto batch = store_->NewBatch();
    batch->DeleteRange(Family::kGroup, key(from), key(to));
    for (int i = from; i < to; ++i) batch->Put(Family::kGroup, key(i), {value(i)});
    return store_->Write(*batch, true);
  };
  Open();
  ASSERT_TRUE(put(0, 300).ok());
  ASSERT_TRUE(store_->Reclaim(Family::kGroup, "", "\xff").ok());
  store_.reset();
  ASSERT_TRUE(DamageTable(value(150)));
  Open();
  ASSERT_TRUE(put(0, 1).ok());
  EXPECT_FALSE(store_->Reclaim(Family::kGroup, "", "\xff").ok());
  const auto never = [](std::string_view, std::string_view) -> absl::StatusOr<LiveKeys> {
    return absl::InternalError("not asked");
  };
  EXPECT_FALSE(store_->MendTables(never).ok()) << "something is alive that only the block holds";
  ASSERT_TRUE(put(0, 300).ok());
  const absl::Status mended = store_->MendTables(never);
  ASSERT_TRUE(mended.ok()) << mended;
  auto cursor = store_->Scan(Family::kGroup, "", "\xff");
  int found = 0;
  for (cursor->Seek(""); cursor->Valid(); cursor->Next()) EXPECT_EQ(cursor->value(), value(found++));
  EXPECT_EQ(found, 300);
}

TEST_F(DamagedTableTest, NothingDamagedIsFound) {
  Open();
  ASSERT_TRUE(Put(0, 200).ok());
  EXPECT_TRUE(store_->MendTables(AllLive).ok()) << "as after a start, when nothing is known";
  ExpectAll(200);
}

/// The operating system's files, but syncs of the write-ahead log and the making of tables can be told to
/// fail.
class FailingFileSystem : public rocksdb::FileSystemWrapper {
 public:
  FailingFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FailingFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override {
    const bool log = name.find(".log") != std::string::npos;
    if (tables_fail && !log) return rocksdb::IOStatus::NoSpace("no space, says the test");
    rocksdb::IOStatus made = target()->NewWritableFile(name, options, result, debug);
    if (made.ok() && log) *result = std::make_unique<LogFile>(std::move(*result), syncs_fail);
    return made;
  }

  std::atomic<bool> syncs_fail{false};
  std::atomic<bool> tables_fail{false};

 private:
  class LogFile : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    LogFile(std::unique_ptr<rocksdb::FSWritableFile> file, std::atomic<bool>& fail)
        : FSWritableFileOwnerWrapper(std::move(file)), fail_(fail) {}
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
      if (fail_) return rocksdb::IOStatus::IOError("sync failed, says the test");
      return FSWritableFileOwnerWrapper::Sync(options, debug);
    }

   private:
    std::atomic<bool>& fail_;
  };
};

class RocksDbFailStopTest : public RocksDbStoreTest {
 protected:
  RocksDbFailStopTest() {
    Open({.write_buffer_bytes = 1 << 20,
          .file_system = disk_,
          .on_background_error = [this](const auto& error) {
            absl::MutexLock lock(&mutex_);
            stops_.push_back(error);
          }});
  }
  std::vector<absl::Status> stops() {
    absl::MutexLock lock(&mutex_);
    return stops_;
  }

  absl::Mutex mutex_;
  std::vector<absl::Status> stops_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<FailingFileSystem> disk_ = std::make_shared<FailingFileSystem>();
};

TEST_F(RocksDbFailStopTest, AFailedSyncIsFinal) {
  ASSERT_TRUE(Append(1, 0, /*sync=*/true).ok());
  disk_->syncs_fail = true;
  const absl::Status failed = Append(1, 1, /*sync=*/true);
  EXPECT_EQ(failed.code(), absl::StatusCode::kInternal) << failed;
  disk_->syncs_fail = false;
  EXPECT_EQ(Append(1, 2, /*sync=*/true), failed) << "not even when syncs would work again";
  EXPECT_EQ(Append(1, 2, /*sync=*/false), failed);
  ASSERT_EQ(stops().size(), 1u);
  EXPECT_EQ(stops().front(), failed);
  EXPECT_TRUE(*store_->Get(Family::kLog, LogKey(1, 0)) == Value(1, 0)) << "reads go on";
  Open();
  EXPECT_EQ(Intact(1).front(), 0);
  EXPECT_TRUE(Append(1, 2, /*sync=*/true).ok());
}

TEST_F(RocksDbFailStopTest, AFailedFlushStopsTheStoreByItself) {
  ASSERT_TRUE(Append(1, 0, /*sync=*/true).ok());
  disk_->tables_fail = true;
  EXPECT_FALSE(store_->Reclaim(Family::kLog, LogKey(0, 0), LogKey(9, 0)).ok()) << "it flushes first";
  ASSERT_EQ(stops().size(), 1u);
  const absl::Status stopped = stops().front();
  EXPECT_EQ(stopped.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorKind(stopped), "disk_full");
  disk_->tables_fail = false;
  EXPECT_EQ(Append(1, 1, /*sync=*/true), stopped);
  EXPECT_EQ(stops().size(), 1u);
  Open();
  EXPECT_EQ(Intact(1), Numbers(0, 1)) << "what was synced is there, and only that";
}

TEST_F(RocksDbFailStopTest, WritersMeetAFailedFlush) {
  disk_->tables_fail = true;
  int synced = 0;
  while (synced < 100 && Append(1, static_cast<uint64_t>(synced), /*sync=*/true).ok()) ++synced;
  ASSERT_GT(synced, 0);
  ASSERT_LT(synced, 100);
  disk_->tables_fail = false;
  Open();
  const std::vector<int> kept = Intact(1);
  EXPECT_GE(kept.size(), static_cast<size_t>(synced));
  EXPECT_EQ(kept, Numbers(0, static_cast<int>(kept.size())));
}

}  // namespace
}  // namespace selvage
