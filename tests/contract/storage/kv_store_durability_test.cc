#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "fabric/base/random.h"
#include "fabric/storage/store_identity.h"
#include "tests/contract/storage/store_factory.h"

namespace selvage {
namespace {

using ::testing::ElementsAre;

class KvStoreDurability : public ::testing::TestWithParam<StoreKind> {
 protected:
  KvStore& store() { return fixture_->store(); }
  std::unique_ptr<StoreFixture> fixture_ = GetParam().make();
};

TEST_P(KvStoreDurability, SyncedWritesSurvive) {
  {
    auto batch = store().NewBatch();
    batch->Put(Family::kMeta, "a", {"1"});
    batch->Put(Family::kLog, "b", {"2"});
    ASSERT_TRUE(store().Write(*batch, /*sync=*/true).ok());
  }
  fixture_->Reopen();
  EXPECT_THAT(Dump(store(), Family::kMeta), ElementsAre("a=1"));
  EXPECT_THAT(Dump(store(), Family::kLog), ElementsAre("b=2"));
}

TEST_P(KvStoreDurability, ASyncCoversEveryEarlierWrite) {
  {
    auto batch = store().NewBatch();
    batch->Put(Family::kLog, "a", {"early"});
    batch->Put(Family::kLog, "b", {"early"});
    ASSERT_TRUE(store().Write(*batch, /*sync=*/false).ok());
    batch->Clear();
    batch->DeleteRange(Family::kLog, "a", "b");
    ASSERT_TRUE(store().Write(*batch, /*sync=*/false).ok());
    batch->Clear();
    ASSERT_TRUE(store().Write(*batch, /*sync=*/true).ok());
  }
  fixture_->Reopen();
  EXPECT_THAT(Dump(store(), Family::kLog), ElementsAre("b=early"));
}

TEST_P(KvStoreDurability, ReopensManyTimesWithDeletesAndLargeValues) {
  for (int round = 0; round < 5; ++round) {
    {
      auto batch = store().NewBatch();
      batch->DeleteRange(Family::kLog, "r", fmt::format("r{}", round));
      batch->Put(Family::kLog, fmt::format("r{}", round),
                 {std::string(100 << 10, static_cast<char>('a' + round))});
      ASSERT_TRUE(store().Write(*batch, /*sync=*/true).ok());
    }
    fixture_->Reopen();
    EXPECT_THAT(
        Dump(store(), Family::kLog),
        ElementsAre(fmt::format("r{}=", round) + std::string(100 << 10, static_cast<char>('a' + round))));
  }
}

TEST_P(KvStoreDurability, IdentityIsMadeOnceAndStays) {
  auto made = OpenStoreIdentity(store(), SystemRandom(), {StoreOwner::Role::kEdge, "rig"});
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE(made->created);
  EXPECT_FALSE(made->store_id.none());
  fixture_->Reopen();
  auto found = OpenStoreIdentity(store(), SystemRandom(), {StoreOwner::Role::kEdge, "rig"});
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->created);
  EXPECT_EQ(found->store_id, made->store_id);
  EXPECT_EQ(found->format, kStoreFormat);
}

INSTANTIATE_TEST_SUITE_P(All, KvStoreDurability, ::testing::ValuesIn(AllStoreKinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace selvage
