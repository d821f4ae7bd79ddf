#include "tests/fault/pretended_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/env.h>

#include <set>
#include <string>
#include <vector>

#include "fabric/storage/rocksdb_store.h"
#include "tests/fault/power_cut_file_system.h"
#include "tests/support/test_dir.h"

namespace selvage::test {
namespace {

using testing::Each;
using testing::Eq;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

bool AnyTear(const std::string&) {
  return false;
}
bool PrefixOnly(const std::string&) {
  return true;
}

/// What a file holds after a power cut, over many seeds; "-" when it is gone.
template <class Prepare, class Predicate>
std::set<std::string> Outcomes(const std::string& path, const Prepare& prepare,
                               const Predicate& prefix_only) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    PretendedDisk disk;
    disk.AddDirectory("/disk");
    prepare(disk);
    SeededRandom random(seed);
    disk.CutPower(random, prefix_only);
    const auto file = disk.Find(path);
    outcomes.insert(file == nullptr ? "-" : file->bytes);
  }
  return outcomes;
}

void Write(PretendedDisk& disk, const std::string& path, const std::string& bytes, bool sync) {
  const auto file = disk.Create(path);
  ASSERT_NE(file, nullptr);
  file->bytes = bytes;
  if (sync) PretendedDisk::Sync(*file);
}

TEST(PretendedDisk, KeepsWhatWasSynced) {
  const auto outcomes = Outcomes(
      "/disk/f",
      [](PretendedDisk& disk) {
        Write(disk, "/disk/f", "sure", true);
        disk.SyncDirectory("/disk");
      },
      AnyTear);
  EXPECT_THAT(outcomes, UnorderedElementsAre("sure"));
}

TEST(PretendedDisk, KeepsAPrefixOfWhatWasNotSynced) {
  const auto append = [](PretendedDisk& disk) {
    Write(disk, "/disk/f", "ab", true);
    disk.SyncDirectory("/disk");
    disk.Find("/disk/f")->bytes += "cd";
  };
  EXPECT_THAT(Outcomes("/disk/f", append, PrefixOnly), UnorderedElementsAre("ab", "abc", "abcd"));
  for (const std::string& outcome : Outcomes("/disk/f", append, AnyTear))
    EXPECT_EQ(outcome.substr(0, 2), "ab");
  EXPECT_GT(Outcomes("/disk/f", append, AnyTear).size(), 10u) << "other bytes come up behind it as well";
}

TEST(PretendedDisk, ASyncedFileNeedsItsDirectorySynced) {
  const auto outcomes = Outcomes(
      "/disk/f", [](PretendedDisk& disk) { Write(disk, "/disk/f", "synced", true); }, AnyTear);
  EXPECT_THAT(outcomes, UnorderedElementsAre("-", "synced"));
}

TEST(PretendedDisk, ADirectoryTakesItsFilesWithIt) {
  const auto outcomes = Outcomes(
      "/disk/d/f",
      [](PretendedDisk& disk) {
        ASSERT_TRUE(disk.MakeDirectory("/disk/d"));
        Write(disk, "/disk/d/f", "synced", true);
        disk.SyncDirectory("/disk/d");
      },
      AnyTear);
  EXPECT_THAT(outcomes, UnorderedElementsAre("-", "synced"));
}

TEST(PretendedDisk, ARenameIsOneStep) {
  const auto replace = [](PretendedDisk& disk) {
    Write(disk, "/disk/f", "old", true);
    disk.SyncDirectory("/disk");
    Write(disk, "/disk/g", "new", true);
    ASSERT_TRUE(disk.Rename("/disk/g", "/disk/f"));
    EXPECT_EQ(disk.Find("/disk/g"), nullptr);
  };
  EXPECT_THAT(Outcomes("/disk/f", replace, AnyTear), UnorderedElementsAre("old", "new"));
  EXPECT_THAT(Outcomes("/disk/g", replace, AnyTear), UnorderedElementsAre("-", "new"));
}

TEST(PretendedDisk, ChangesOfADirectoryAreKeptInOrder) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    PretendedDisk disk;
    disk.AddDirectory("/disk");
    for (const char* name : {"/disk/1", "/disk/2", "/disk/3"}) Write(disk, name, "", true);
    ASSERT_TRUE(disk.Remove("/disk/1"));
    SeededRandom random(seed);
    disk.CutPower(random, AnyTear);
    const bool one = disk.Find("/disk/1") != nullptr;
    const bool two = disk.Find("/disk/2") != nullptr;
    const bool three = disk.Find("/disk/3") != nullptr;
    EXPECT_TRUE(two || !three) << seed;
    EXPECT_TRUE(one || !two || three) << "removed last of all, seed " << seed;
    EXPECT_EQ(disk.List("/disk").size(), size_t{one} + size_t{two} + size_t{three});
  }
}

TEST(PretendedDisk, ASyncAfterAFailedOneSavesNothing) {
  const auto outcomes = Outcomes(
      "/disk/f",
      [](PretendedDisk& disk) {
        Write(disk, "/disk/f", "ab", true);
        disk.SyncDirectory("/disk");
        PretendedDisk::Node& file = *disk.Find("/disk/f");
        file.bytes += "cd";
        PretendedDisk::FailSync(file);
        PretendedDisk::Sync(file);
        EXPECT_EQ(file.bytes, "abcd") << "readable until the power goes";
      },
      AnyTear);
  EXPECT_THAT(outcomes, UnorderedElementsAre("ab"));
}

class PowerCutFileSystemTest : public ::testing::Test {
 protected:
  PowerCutFileSystemTest() { fs_.AddDirectory("/disk"); }

  rocksdb::IOStatus Append(const std::string& bytes) {
    return file_->Append(bytes, rocksdb::IOOptions(), nullptr);
  }
  rocksdb::IOStatus Sync() { return file_->Sync(rocksdb::IOOptions(), nullptr); }
  void Open() { ASSERT_TRUE(fs_.NewWritableFile("/disk/f", rocksdb::FileOptions(), &file_, nullptr).ok()); }
  uint64_t Size() {
    uint64_t size = 0;
    EXPECT_TRUE(fs_.GetFileSize("/disk/f", rocksdb::IOOptions(), &size, nullptr).ok());
    return size;
  }

  PowerCutFileSystem fs_{1};
  std::unique_ptr<rocksdb::FSWritableFile> file_;
};

TEST_F(PowerCutFileSystemTest, CutsThePowerAtAnOperation) {
  Open();
  fs_.Arm({.kind = Fault::Kind::kPowerCut, .after = 2});
  EXPECT_TRUE(Append("a").ok());
  EXPECT_TRUE(Sync().ok());
  EXPECT_FALSE(Append("b").ok());
  ASSERT_TRUE(fs_.struck());
  EXPECT_EQ(fs_.struck()->op, FileOp::kAppend);
  EXPECT_EQ(fs_.struck()->path, "/disk/f");
  EXPECT_FALSE(fs_.powered());
  EXPECT_FALSE(Sync().ok());
  EXPECT_FALSE(fs_.FileExists("/disk/f", rocksdb::IOOptions(), nullptr).ok());
  std::unique_ptr<rocksdb::FSWritableFile> other;
  EXPECT_FALSE(fs_.NewWritableFile("/disk/g", rocksdb::FileOptions(), &other, nullptr).ok());
  file_.reset();
  fs_.RestorePower();
  EXPECT_TRUE(fs_.powered());
  Open();
  EXPECT_TRUE(Append("c").ok());
}

TEST_F(PowerCutFileSystemTest, AnOperationMayTakeEffectAndBeReportedAsFailed) {
  Open();
  fs_.Arm({.kind = Fault::Kind::kIoError, .only = FileOp::kAppend, .takes_effect = true});
  EXPECT_TRUE(Sync().ok()) << "only appends count";
  EXPECT_TRUE(Append("abc").IsIOError());
  EXPECT_EQ(Size(), 3u);
  EXPECT_TRUE(Append("d").ok()) << "once";
}

TEST_F(PowerCutFileSystemTest, AFullDiskStaysFull) {
  Open();
  fs_.Arm({.kind = Fault::Kind::kNoSpace, .after = 1});
  EXPECT_TRUE(Append("a").ok());
  EXPECT_TRUE(Append("b").IsNoSpace());
  EXPECT_TRUE(Append("c").IsNoSpace());
  EXPECT_TRUE(Sync().ok());
  fs_.Disarm();
  EXPECT_TRUE(Append("d").ok());
}

TEST_F(PowerCutFileSystemTest, FlipsOneBit) {
  Open();
  ASSERT_TRUE(Append(std::string(100, '\0')).ok());
  EXPECT_FALSE(fs_.FlipBit("wal"));
  ASSERT_TRUE(fs_.FlipBit("other"));
  std::unique_ptr<rocksdb::FSSequentialFile> in;
  ASSERT_TRUE(fs_.NewSequentialFile("/disk/f", rocksdb::FileOptions(), &in, nullptr).ok());
  std::string scratch(200, 'x');
  rocksdb::Slice got;
  ASSERT_TRUE(in->Read(200, rocksdb::IOOptions(), &got, scratch.data(), nullptr).ok());
  ASSERT_EQ(got.size(), 100u);
  int bits = 0;
  for (size_t i = 0; i < got.size(); ++i) bits += __builtin_popcount(static_cast<unsigned char>(got[i]));
  EXPECT_EQ(bits, 1);
}

/// What lies at the end of a long new path must not go with one of its directories.
TEST(NewStore, SurvivesAPowerCutInANewDirectory) {
  TestDir real;  // asked for free space
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    auto disk = std::make_shared<PowerCutFileSystem>(seed);
    disk->AddDirectory("/");
    const RocksDbOptions options{.path = real.path() + "/a/b/store", .file_system = disk};
    auto store = RocksDbStore::Open(options);
    ASSERT_TRUE(store.ok()) << store.status();
    auto batch = (*store)->NewBatch();
    batch->Put(Family::kMeta, "k", {"v"});
    ASSERT_TRUE((*store)->Write(*batch, /*sync=*/true).ok());
    disk->CutPower();
    store->reset();
    disk->RestorePower();
    store = RocksDbStore::Open({.path = options.path, .create_if_missing = false, .file_system = disk});
    ASSERT_TRUE(store.ok()) << "seed " << seed << ": " << store.status();
    EXPECT_EQ(*(*store)->Get(Family::kMeta, "k"), "v");
  }
}

}  // namespace
}  // namespace selvage::test
