#include "fabric/storage/memory_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "fabric/base/error.h"

namespace selvage {
namespace {

class CrashingStore : public MemoryStore {
 public:
  using MemoryStore::LoseUnsynced;
  using MemoryStore::UnsyncedBatches;

  void Put(std::string_view key, std::string_view value, bool sync) {
    auto batch = NewBatch();
    batch->Put(Family::kLog, key, {value});
    ASSERT_TRUE(Write(*batch, sync).ok());
  }
  std::string Keys() {
    std::string keys;
    auto cursor = Scan(Family::kLog, "", "\xff");
    for (cursor->Seek(""); cursor->Valid(); cursor->Next()) keys += std::string(cursor->key());
    return keys;
  }
};

TEST(MemoryStoreTest, ACrashKeepsAPrefixOfWhatWasNotSynced) {
  for (size_t keep : {0u, 1u, 2u, 3u, 9u}) {
    CrashingStore store;
    store.Put("a", "v", /*sync=*/false);
    store.Put("b", "v", /*sync=*/true);
    store.Put("c", "v", /*sync=*/false);
    auto batch = store.NewBatch();
    batch->Delete(Family::kLog, "a");
    batch->Put(Family::kLog, "d", {"v"});
    ASSERT_TRUE(store.Write(*batch, /*sync=*/false).ok());
    store.Put("e", "v", /*sync=*/false);
    EXPECT_EQ(store.UnsyncedBatches(), 3u);
    EXPECT_EQ(store.Keys(), "bcde");

    store.LoseUnsynced(keep);
    const std::string expected[] = {"ab", "abc", "bcd", "bcde"};
    EXPECT_EQ(store.Keys(), expected[std::min<size_t>(keep, 3)]);
    EXPECT_EQ(store.UnsyncedBatches(), 0u);
    store.LoseUnsynced(0);
    EXPECT_EQ(store.Keys(), expected[std::min<size_t>(keep, 3)]) << "what a crash left is on the disk";
  }
}

TEST(MemoryStoreTest, CountsTheBytesItHolds) {
  CrashingStore store;
  store.SetCapacity(100);
  store.Put("key", std::string(30, 'x'), /*sync=*/true);
  EXPECT_EQ(*store.FileBytes(), 33u);
  EXPECT_EQ(*store.FreeBytes(), 67u);
  store.Put("key", "short", /*sync=*/false);
  EXPECT_EQ(*store.FileBytes(), 8u);
  store.LoseUnsynced(0);
  EXPECT_EQ(*store.FileBytes(), 33u);
  auto batch = store.NewBatch();
  batch->DeleteRange(Family::kLog, "a", "z");
  ASSERT_TRUE(store.Write(*batch, /*sync=*/true).ok());
  EXPECT_EQ(*store.FileBytes(), 0u);
  store.SetCapacity(0);
  EXPECT_EQ(*store.FreeBytes(), 0u);
}

TEST(MemoryStoreTest, AFullDiskIsFinalUntilTheStoreIsOpenedAgain) {
  CrashingStore store;
  store.Put("a", "v", /*sync=*/true);
  store.SetCapacity(10);
  auto batch = store.NewBatch();
  batch->Put(Family::kLog, "b", {std::string(20, 'x')});
  const absl::Status full = store.Write(*batch, /*sync=*/true);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorKind(full), "disk_full");
  store.SetCapacity(1000);
  EXPECT_EQ(store.Write(*batch, /*sync=*/true), full);
  EXPECT_EQ(store.Keys(), "a");
  store.LoseUnsynced(0);
  EXPECT_TRUE(store.Write(*batch, /*sync=*/true).ok());
  EXPECT_EQ(store.Keys(), "ab");
}

TEST(MemoryStoreTest, ACursorOutlivesACrash) {
  CrashingStore store;
  store.Put("a", "v", /*sync=*/false);
  auto cursor = store.Scan(Family::kLog, "", "z");
  store.LoseUnsynced(0);
  cursor->Seek("");
  ASSERT_TRUE(cursor->Valid());
  EXPECT_EQ(cursor->key(), "a");
}

}  // namespace
}  // namespace selvage
