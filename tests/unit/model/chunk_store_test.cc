#include "fabric/model/chunk_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>

#include "fabric/base/error.h"
#include "tests/support/test_dir.h"

namespace selvage::model {
namespace {

namespace fs = std::filesystem;

class ChunkStoreTest : public ::testing::Test {
 protected:
  ChunkStoreTest() { Open(); }
  void Open() { store_ = ChunkStore::Open(dir_.File("chunks")).value(); }
  absl::Status Put(const std::vector<std::string>& contents) {
    std::vector<ChunkStore::Chunk> chunks;
    for (const std::string& content : contents) chunks.push_back({Digest::Of(content), content});
    return store_->Put(chunks);
  }
  std::string Get(const std::string& content) {
    const auto data = store_->Get(Digest::Of(content));
    return data.ok() ? *data : ErrorKind(data.status());
  }
  fs::path PathOf(const std::string& content) {
    const std::string name = Digest::Of(content).Hex();
    return fs::path(dir_.File("chunks")) / name.substr(0, 2) / name;
  }

  test::TestDir dir_;
  std::unique_ptr<ChunkStore> store_;
};

TEST_F(ChunkStoreTest, WhatIsPutIsThereAfterOpeningAgain) {
  ASSERT_EQ(Put({"one", "two", "one"}), absl::OkStatus());
  ASSERT_EQ(Put({"two"}), absl::OkStatus());
  EXPECT_EQ(store_->bytes(), 6u);
  Open();
  EXPECT_EQ(store_->bytes(), 6u);
  EXPECT_EQ(Get("one"), "one");
  EXPECT_TRUE(store_->Has(Digest::Of("two")));
  EXPECT_FALSE(store_->Has(Digest::Of("three")));
  EXPECT_EQ(Get("three"), "unknown_chunk");
}

TEST_F(ChunkStoreTest, OtherDataAreNotStored) {
  EXPECT_EQ(ErrorKind(store_->Put({{Digest::Of("one"), "one"}, {Digest::Of("two"), "TWO"}})),
            "corrupt_chunk");
  EXPECT_FALSE(store_->Has(Digest::Of("one")));
  EXPECT_EQ(store_->bytes(), 0u);
}

TEST_F(ChunkStoreTest, ADamagedChunkIsFetchedAgain) {
  ASSERT_EQ(Put({"one"}), absl::OkStatus());
  std::ofstream(PathOf("one")) << "ONE";
  EXPECT_EQ(Get("one"), "corrupt_chunk");
  EXPECT_FALSE(store_->Has(Digest::Of("one")));
  ASSERT_EQ(Put({"one"}), absl::OkStatus());
  EXPECT_EQ(Get("one"), "one");
}

TEST_F(ChunkStoreTest, WhatACrashLeftUnfinishedGoes) {
  ASSERT_EQ(Put({"one"}), absl::OkStatus());
  const fs::path half = PathOf("one").string() + ".tmp";
  std::ofstream(half) << "on";
  Open();
  EXPECT_FALSE(fs::exists(half));
  EXPECT_EQ(store_->bytes(), 3u);
}

TEST_F(ChunkStoreTest, SweepsWhatNobodyNeedsOrPins) {
  ASSERT_EQ(Put({"needed", "pinned", "gone", "later"}), absl::OkStatus());
  auto pin = store_->PinAll({Digest::Of("pinned"), Digest::Of("later")});
  auto again = store_->PinAll({Digest::Of("pinned")});
  const auto swept = store_->Sweep({Digest::Of("needed")});
  ASSERT_EQ(swept.status(), absl::OkStatus());
  EXPECT_EQ(swept->chunks, 1u);
  EXPECT_EQ(swept->bytes, 4u);
  pin.reset();
  ASSERT_EQ(store_->Sweep({Digest::Of("needed")})->chunks, 1u);
  EXPECT_EQ(Get("pinned"), "pinned");
  EXPECT_EQ(Get("later"), "unknown_chunk");
  again.reset();
  ASSERT_EQ(store_->Sweep({})->chunks, 2u);
  EXPECT_EQ(store_->bytes(), 0u);
}

TEST_F(ChunkStoreTest, AChunkThatIsPinnedBeforeItComesStays) {
  const auto pin = store_->PinAll({Digest::Of("one")});
  ASSERT_EQ(Put({"one"}), absl::OkStatus());
  EXPECT_EQ(store_->Sweep({})->chunks, 0u);
}

}  // namespace
}  // namespace selvage::model
