#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/file_system.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/storage/rocksdb_store.h"
#include "tests/support/test_dir.h"

namespace selvage {
namespace {

class RocksDbOpenTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<RocksDbStore>> Open() { return RocksDbStore::Open({.path = path_}); }
  void Create() {
    auto store = Open();
    ASSERT_TRUE(store.ok()) << store.status();
    auto batch = (*store)->NewBatch();
    batch->Put(Family::kMeta, "k", {"v"});
    ASSERT_TRUE((*store)->Write(*batch, /*sync=*/true).ok());
  }
  /// The only file whose name starts with `prefix`.
  std::filesystem::path FileNamed(std::string_view prefix) {
    for (const auto& file : std::filesystem::directory_iterator(path_)) {
      if (file.path().filename().string().rfind(prefix, 0) == 0) return file.path();
    }
    return {};
  }

  test::TestDir dir_;
  const std::string path_ = dir_.File("a/b/store");
};

TEST_F(RocksDbOpenTest, MakesTheDirectoriesAboveIt) {
  Create();
  EXPECT_TRUE(std::filesystem::exists(path_ + "/CURRENT"));
}

TEST_F(RocksDbOpenTest, AStoreThatMustExistIsNotMade) {
  const absl::Status error = RocksDbStore::Open({.path = path_, .create_if_missing = false}).status();
  EXPECT_EQ(error.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrorKind(error), "store_missing");
  EXPECT_FALSE(std::filesystem::exists(path_));
  Create();
  EXPECT_TRUE(RocksDbStore::Open({.path = path_, .create_if_missing = false}).ok());
}

TEST_F(RocksDbOpenTest, AFreshVolumeIsFine) {
  std::filesystem::create_directories(path_ + "/lost+found");
  EXPECT_TRUE(Open().ok());
}

TEST_F(RocksDbOpenTest, ACreationCutShortIsFinished) {
  Create();
  std::filesystem::remove(path_ + "/CURRENT");
  for (const auto& file : std::filesystem::directory_iterator(path_)) {
    if (file.path().extension() == ".log") std::filesystem::remove(file.path());
  }
  EXPECT_TRUE(Open().ok());
}

TEST_F(RocksDbOpenTest, ADirectoryWithOtherFilesIsRefused) {
  std::filesystem::create_directories(path_);
  std::ofstream(path_ + "/precious.txt") << "not ours";
  const absl::Status error = Open().status();
  EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorKind(error), "not_a_store");
  EXPECT_EQ(test::ReadFile(path_ + "/precious.txt"), "not ours");
}

TEST_F(RocksDbOpenTest, AStoreWithoutItsCurrentFileIsNotMadeAnew) {
  Create();
  std::filesystem::remove(path_ + "/CURRENT");
  EXPECT_EQ(ErrorKind(Open().status()), "not_a_store");
}

TEST_F(RocksDbOpenTest, ASecondOpenIsRefused) {
  auto first = Open();
  ASSERT_TRUE(first.ok());
  const absl::Status error = Open().status();
  EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorKind(error), "store_locked");
  EXPECT_TRUE(IsRetryable(error));
  EXPECT_FALSE(ErrorHint(error).empty());
}

/// A file that may not be opened, as for another user.
class ForbiddingFileSystem : public rocksdb::FileSystemWrapper {
 public:
  ForbiddingFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "ForbiddingFileSystem"; }
  rocksdb::IOStatus LockFile(const std::string& name, const rocksdb::IOOptions&, rocksdb::FileLock**,
                             rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::IOError("While open a file for lock: " + name, "Permission denied");
  }
};

TEST_F(RocksDbOpenTest, MissingRightsAreNotAnotherProcess) {
  Create();
  const absl::Status error =
      RocksDbStore::Open({.path = path_, .file_system = std::make_shared<ForbiddingFileSystem>()}).status();
  EXPECT_EQ(ErrorKind(error), "data_dir_unusable") << error;
  EXPECT_EQ(std::string(error.message()).find("another process"), std::string::npos);
  EXPECT_FALSE(IsRetryable(error));
}

/// As the engine is to open all that a store has.
std::vector<rocksdb::ColumnFamilyDescriptor> Families() {
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const Family family : kAllFamilies) {
    families.emplace_back(family == Family::kMeta ? "default" : std::string(FamilyName(family)),
                          rocksdb::ColumnFamilyOptions());
  }
  return families;
}

TEST_F(RocksDbOpenTest, ATableOfANewerVersionIsRefused) {
  Create();
  {
    const auto families = Families();
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, path_, families, &handles, &db).ok());
    handles.push_back(nullptr);
    ASSERT_TRUE(db->CreateColumnFamily({}, "newer", &handles.back()).ok());
    for (auto* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    delete db;
  }
  const absl::Status error = Open().status();
  EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorKind(error), "store_format_newer");
  EXPECT_NE(std::string(error.message()).find("newer"), std::string::npos);
}

TEST_F(RocksDbOpenTest, AStoreOfAnEarlierVersionGetsTheTablesItLacks) {
  Create();
  {
    const auto families = Families();
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, path_, families, &handles, &db).ok());
    ASSERT_TRUE(db->DropColumnFamily(handles.back()).ok());
    for (auto* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    delete db;
  }
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(*(*store)->Get(Family::kMeta, "k"), "v");
  auto batch = (*store)->NewBatch();
  batch->Put(Family::kFeed, "g", {"new"});
  ASSERT_TRUE((*store)->Write(*batch, /*sync=*/true).ok());
  EXPECT_EQ(*(*store)->Get(Family::kFeed, "g"), "new");
}

TEST_F(RocksDbOpenTest, ADamagedManifestIsReported) {
  Create();
  std::filesystem::resize_file(FileNamed("MANIFEST-"), 20);
  const absl::Status error = Open().status();
  EXPECT_EQ(error.code(), absl::StatusCode::kDataLoss) << error;
  EXPECT_EQ(ErrorKind(error), "store_damaged");
}

}  // namespace
}  // namespace selvage
