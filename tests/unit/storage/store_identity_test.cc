#include "fabric/storage/store_identity.h"

#include <gtest/gtest.h>

#include <string>

#include "fabric/base/error.h"
#include "fabric/storage/memory_store.h"

namespace selvage {
namespace {

constexpr std::string_view kKey = "store/identity";

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
  auto made = OpenStoreIdentity(store, SystemRandom());
  ASSERT_TRUE(made.ok());
  store.LoseUnsynced(0);
  auto found = OpenStoreIdentity(store, SystemRandom());
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->created);
  EXPECT_EQ(found->store_id, made->store_id);
}

TEST(StoreIdentityTest, DiffersBetweenStores) {
  IdentityStore one;
  IdentityStore other;
  EXPECT_NE(OpenStoreIdentity(one, SystemRandom())->store_id,
            OpenStoreIdentity(other, SystemRandom())->store_id);
}

TEST(StoreIdentityTest, StoredBytesAreGolden) {
  IdentityStore store;
  store.Put(Family::kMeta, kKey, std::string("\0\0\0\1", 4) + "0123456789abcdef");
  auto found = OpenStoreIdentity(store, SystemRandom());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->format, 1u);
  EXPECT_EQ(found->store_id.bytes(), "0123456789abcdef");
}

TEST(StoreIdentityTest, RefusesANewerFormat) {
  IdentityStore store;
  store.Put(Family::kMeta, kKey, std::string("\0\0\0\2", 4) + "another layout altogether");
  const absl::Status error = OpenStoreIdentity(store, SystemRandom()).status();
  EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorKind(error), "store_format_newer");
  EXPECT_FALSE(ErrorHint(error).empty());
}

TEST(StoreIdentityTest, RefusesForeignData) {
  for (Family family : kAllFamilies) {
    IdentityStore store;
    store.Put(family, "foreign", "data");
    const absl::Status error = OpenStoreIdentity(store, SystemRandom()).status();
    EXPECT_EQ(error.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ErrorKind(error), "not_a_store");
  }
}

TEST(StoreIdentityTest, ReportsDamage) {
  const std::string damaged[] = {"",
                                 "\1",
                                 std::string("\0\0\0\1", 4) + "short",
                                 std::string(20, '\0'),
                                 std::string("\0\0\0\1", 4) + std::string(17, 'x'),
                                 std::string("\0\0\0\1", 4) + std::string(16, '\0')};
  for (const std::string& value : damaged) {
    IdentityStore store;
    store.Put(Family::kMeta, kKey, value);
    EXPECT_EQ(OpenStoreIdentity(store, SystemRandom()).status().code(), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace selvage
