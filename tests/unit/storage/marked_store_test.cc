#include "fabric/storage/marked_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/storage/memory_store.h"

namespace selvage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Each key is a subject of its own, but what begins with '-'.
class MarkedStoreTest : public ::testing::Test {
 protected:
  class CrashingStore : public MemoryStore {
   public:
    using MemoryStore::LoseUnsynced;
  };

  void Open() {
    store_ = std::make_unique<MarkedStore>(
        engine_, [](Family, std::string_view key) { return key.starts_with("-") ? "" : std::string(key); });
    auto recovered = store_->Open();
    ASSERT_TRUE(recovered.ok()) << recovered.status();
    recovered_ = *recovered;
  }
  void Put(std::initializer_list<std::string> keys, bool sync = true, Family family = Family::kMeta) {
    auto batch = store_->NewBatch();
    for (const std::string& key : keys) batch->Put(family, key, {"x"});
    ASSERT_TRUE(store_->Write(*batch, sync).ok());
  }

  CrashingStore engine_;
  std::unique_ptr<MarkedStore> store_;
  uint64_t recovered_ = 0;
};

TEST_F(MarkedStoreTest, WhatIsNotThereAnyMoreIsNamed) {
  Open();
  Put({"a", "b"});
  Put({"b", "c"}, /*sync=*/false);
  Put({"d"}, /*sync=*/true);
  const WriteMark mark = store_->mark();
  EXPECT_TRUE(LostOf(mark, 3).none());
  EXPECT_THAT(LostOf(mark, 1).subjects, ElementsAre("b", "c", "d"));
  EXPECT_THAT(LostOf(mark, 0).subjects, ElementsAre("a", "b", "c", "d"));
  EXPECT_FALSE(LostOf(mark, 0).perhaps_others);
}

TEST_F(MarkedStoreTest, ItCountsWhatIsSyncedOnly) {
  Open();
  Put({"a"});
  Put({"b"}, /*sync=*/false);
  EXPECT_EQ(store_->last(), 1u);
  const WriteMark mark = store_->mark();
  engine_.LoseUnsynced(0);
  Open();
  EXPECT_EQ(recovered_, 1u);
  EXPECT_TRUE(LostOf(mark, recovered_).none()) << "a crash loses nothing that was acknowledged";
  Put({"c"});
  EXPECT_EQ(store_->last(), 2u) << "the number that went is given again";
}

TEST_F(MarkedStoreTest, OtherWritesAreNotNumbered) {
  Open();
  Put({"-a"});
  Put({"entry"}, /*sync=*/true, Family::kLog);
  EXPECT_EQ(store_->last(), 0u);
  EXPECT_THAT(store_->mark().newest, IsEmpty());
  auto batch = store_->NewBatch();
  batch->Put(Family::kMeta, "dropped", {"x"});
  batch->Clear();
  batch->Delete(Family::kMeta, "gone");
  batch->DeleteRange(Family::kGroup, "range", "rangf");
  ASSERT_TRUE(store_->Write(*batch, true).ok());
  EXPECT_THAT(LostOf(store_->mark(), 0).subjects, ElementsAre("gone", "range"));
}

TEST_F(MarkedStoreTest, TheMarkIsBounded) {
  Open();
  const int many = static_cast<int>(MarkedStore::kSubjectsMax) * 3;
  for (int i = 0; i < many; ++i) Put({"subject-" + std::to_string(i)});
  const WriteMark mark = store_->mark();
  EXPECT_LE(mark.newest.size(), MarkedStore::kSubjectsMax);
  EXPECT_EQ(mark.newest.at("subject-" + std::to_string(many - 1)), static_cast<uint64_t>(many));
  EXPECT_EQ(mark.newest.size() + mark.left_out, static_cast<uint64_t>(many)) << "none is missing silently";
  EXPECT_FALSE(LostOf(mark, static_cast<uint64_t>(many) - 10).perhaps_others);
  EXPECT_TRUE(LostOf(mark, 10).perhaps_others);
}

}  // namespace
}  // namespace selvage
