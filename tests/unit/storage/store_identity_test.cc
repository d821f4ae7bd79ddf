#include "fabric/storage/store_identity.h"

#include <gtest/gtest.h>

#include <string>

#include "fabric/base/error.h"
#include "fabric/storage/memory_store.h"

namespace selvage {
namespace {

constexpr std::string_view kKey = "store/identity";
const StoreOwner kRig{StoreOwner::Role::kEdge, "rig-7"};

class IdentityStore : public MemoryStore {
 public:
  using MemoryStore::LoseUnsynced;
  void Put(Family family, std::string_view key, std::string_view value) {
    auto batch = NewBatch();
    batch->Put(family, key, {value});
    ASSERT_TRUE(Write(*batch, /*sync=*/true).ok());
  }
};

TEST(StoreIdentityTest, IsSyncedBeforeItIsTold) {
  IdentityStore store;
  auto made = OpenStoreIdentity(store, SystemRandom(), kRig);
  ASSERT_TRUE(made.ok());
  store.LoseUnsynced(0);
  auto found = OpenStoreIdentity(store, SystemRandom(), kRig);
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->created);
  EXPECT_EQ(found->store_id, made->store_id);
}

TEST(StoreIdentityTest, DiffersBetweenStores) {
  IdentityStore one;
  IdentityStore other;
  EXPECT_NE(OpenStoreIdentity(one, SystemRandom(), kRig)->store_id,
            OpenStoreIdentity(other, SystemRandom(), kRig)->store_id);
}

TEST(StoreIdentityTest, StoredBytesAreGolden) {
  IdentityStore store;
  store.Put(Family::kMeta, kKey, std::string("\0\0\0\1", 4) + "0123456789abcdef" + "\1rig-7");
  auto found = OpenStoreIdentity(store, SystemRandom(), kRig);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->format, 1u);
  EXPECT_EQ(found->store_id.bytes(), "0123456789abcdef");
  EXPECT_EQ(found->owner, kRig);
}

TEST(StoreIdentityTest, SaysWhoseStoreItIs) {
  const StoreOwner other_edge{StoreOwner::Role::kEdge, "rig-8"}, core{StoreOwner::Role::kCore, "rig-7"};
  IdentityStore store;
  ASSERT_TRUE(OpenStoreIdentity(store, SystemRandom(), kRig).ok());
  const auto found = OpenStoreIdentity(store, SystemRandom(), other_edge);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->owner, kRig);
  EXPECT_TRUE(CheckStoreOwner(*found, kRig).ok());
  const absl::Status for_edge = CheckStoreOwner(*found, other_edge);
  EXPECT_EQ(ErrorKind(for_edge), "foreign_store");
  EXPECT_EQ(for_edge.message(), "the store in data_dir belongs to edge rig-7, and this is edge rig-8");
  EXPECT_NE(ErrorHint(for_edge).find("--take-store-of rig-7"), std::string::npos);
  const absl::Status for_core = CheckStoreOwner(*found, core);
  EXPECT_EQ(ErrorKind(for_core), "foreign_store");
  EXPECT_EQ(ErrorHint(for_core).find("--take-store-of"), std::string::npos)
      << "of another kind it cannot be taken";
}

TEST(StoreIdentityTest, RefusesANewerFormat) {
  IdentityStore store;
  store.Put(Family::kMeta, kKey, std::string("\0\0\0\2", 4) + "another layout altogether");
  const absl::Status error = OpenStoreIdentity(store, SystemRandom(), kRig).status();
  EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorKind(error), "store_format_newer");
  EXPECT_FALSE(ErrorHint(error).empty());
}

TEST(StoreIdentityTest, RefusesForeignData) {
  for (Family family : kAllFamilies) {
    IdentityStore store;
    store.Put(family, "foreign", "data");
    const absl::Status error = OpenStoreIdentity(store, SystemRandom(), kRig).status();
    EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ErrorKind(error), "not_a_store");
  }
}

TEST(StoreIdentityTest, ReportsDamage) {
  const std::string damaged[] = {"",
                                 "\1",
                                 std::string("\0\0\0\1", 4) + "short",
                                 std::string(20, '\0'),
                                 std::string("\0\0\0\1", 4) + std::string(16, 'x'),
                                 std::string("\0\0\0\1", 4) + std::string(16, 'x') + "\3rig-7",
                                 std::string("\0\0\0\1", 4) + std::string(16, '\0') + "\1rig-7"};
  for (const std::string& value : damaged) {
    IdentityStore store;
    store.Put(Family::kMeta, kKey, value);
    EXPECT_EQ(OpenStoreIdentity(store, SystemRandom(), kRig).status().code(), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace selvage
