#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/contract/storage/store_factory.h"

namespace selvage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class KvStoreContract : public ::testing::TestWithParam<StoreKind> {
 protected:
  KvStore& store() { return fixture_->store(); }

  void Put(Family family, std::string_view key, std::string_view value) {
    auto batch = store().NewBatch();
    batch->Put(family, key, {value});
    ASSERT_TRUE(store().Write(*batch, /*sync=*/false).ok());
  }
  void PutLetters(std::string_view letters) {
    for (char letter : letters) Put(Family::kLog, std::string(1, letter), "v");
  }
  std::string Get(Family family, std::string_view key) {
    auto got = store().Get(family, key);
    if (!got.ok()) return got.status().ToString();
    return *got ? **got : "(none)";
  }

  std::unique_ptr<StoreFixture> fixture_ = GetParam().make();
};

TEST_P(KvStoreContract, BatchAppliesAcrossFamiliesOrNotAtAll) {
  auto batch = store().NewBatch();
  batch->Put(Family::kMeta, "end", {"1"});
  batch->Put(Family::kLog, "entry", {"bytes"});
  EXPECT_EQ(Get(Family::kMeta, "end"), "(none)");
  EXPECT_EQ(Get(Family::kLog, "entry"), "(none)");
  ASSERT_TRUE(store().Write(*batch, /*sync=*/true).ok());
  EXPECT_EQ(Get(Family::kMeta, "end"), "1");
  EXPECT_EQ(Get(Family::kLog, "entry"), "bytes");
  EXPECT_EQ(Get(Family::kLog, "end"), "(none)") << "families do not share keys";
}

TEST_P(KvStoreContract, BatchTakesEffectInOrder) {
  auto batch = store().NewBatch();
  batch->Put(Family::kMeta, "a", {"first"});
  batch->Put(Family::kMeta, "a", {"second"});
  batch->Put(Family::kMeta, "b", {"gone"});
  batch->DeleteRange(Family::kMeta, "b", "d");
  batch->Put(Family::kMeta, "c", {"after the range"});
  batch->Put(Family::kMeta, "d", {"gone"});
  batch->Delete(Family::kMeta, "d");
  ASSERT_TRUE(store().Write(*batch, /*sync=*/false).ok());
  EXPECT_THAT(Dump(store(), Family::kMeta), ElementsAre("a=second", "c=after the range"));
}

TEST_P(KvStoreContract, ValueIsItsPartsInOrder) {
  auto batch = store().NewBatch();
  batch->Put(Family::kLog, "k", {"head", "", "-", "tail"});
  ASSERT_TRUE(store().Write(*batch, /*sync=*/false).ok());
  EXPECT_EQ(Get(Family::kLog, "k"), "head-tail");
}

TEST_P(KvStoreContract, BatchTellsItsSizeAndIsReusable) {
  auto batch = store().NewBatch();
  EXPECT_TRUE(batch->Empty());
  const size_t nothing = batch->ByteSize();
  batch->Put(Family::kLog, "k", {std::string(1000, 'x')});
  EXPECT_FALSE(batch->Empty());
  EXPECT_GE(batch->ByteSize(), nothing + 1000);
  ASSERT_TRUE(store().Write(*batch, /*sync=*/false).ok());
  batch->Clear();
  EXPECT_TRUE(batch->Empty());
  EXPECT_EQ(batch->ByteSize(), nothing);
  batch->Delete(Family::kLog, "k");
  ASSERT_TRUE(store().Write(*batch, /*sync=*/false).ok());
  EXPECT_EQ(Get(Family::kLog, "k"), "(none)");
}

TEST_P(KvStoreContract, EmptyBatchIsAPlainSync) {
  auto batch = store().NewBatch();
  EXPECT_TRUE(store().Write(*batch, /*sync=*/true).ok());
}

TEST_P(KvStoreContract, DeleteRangeEndsBeforeItsBound) {
  PutLetters("abcde");
  auto batch = store().NewBatch();
  batch->DeleteRange(Family::kLog, "b", "d");
  ASSERT_TRUE(store().Write(*batch, /*sync=*/false).ok());
  EXPECT_THAT(Dump(store(), Family::kLog), ElementsAre("a=v", "d=v", "e=v"));
}

TEST_P(KvStoreContract, EmptyAndReversedRangesDeleteNothing) {
  PutLetters("abc");
  auto batch = store().NewBatch();
  batch->DeleteRange(Family::kLog, "b", "b");
  batch->DeleteRange(Family::kLog, "c", "a");
  EXPECT_TRUE(batch->Empty());
  batch->Put(Family::kLog, "d", {"v"});
  ASSERT_TRUE(store().Write(*batch, /*sync=*/false).ok());
  EXPECT_THAT(Dump(store(), Family::kLog), ElementsAre("a=v", "b=v", "c=v", "d=v"));
}

TEST_P(KvStoreContract, CursorSeesTheStoreAsItWas) {
  PutLetters("abc");
  auto cursor = store().Scan(Family::kLog, "", "z");
  auto batch = store().NewBatch();
  batch->Delete(Family::kLog, "b");
  batch->Put(Family::kLog, "a", {"new"});
  batch->Put(Family::kLog, "d", {"new"});
  ASSERT_TRUE(store().Write(*batch, /*sync=*/true).ok());
  std::string seen;
  for (cursor->Seek(""); cursor->Valid(); cursor->Next()) {
    seen += fmt::format("{}={} ", cursor->key(), cursor->value());
  }
  EXPECT_EQ(seen, "a=v b=v c=v ");
  EXPECT_TRUE(cursor->status().ok());
  EXPECT_THAT(Dump(store(), Family::kLog), ElementsAre("a=new", "c=v", "d=new"));
}

TEST_P(KvStoreContract, CursorsOfSeveralFamiliesSeeOneMoment) {
  std::atomic<bool> writing{true};
  std::thread writer([&] {
    // Each batch holds one number in both families.
    for (int i = 0; writing; ++i) {
      auto batch = store().NewBatch();
      for (const Family family : {Family::kRow, Family::kFeed}) {
        batch->Put(family, "n", {std::to_string(i)});
      }
      EXPECT_TRUE(store().Write(*batch, /*sync=*/false).ok());
    }
  });
  for (int i = 0; i < 500; ++i) {
    const auto cursors = store().ScanTogether({{Family::kRow, "", "z"}, {Family::kFeed, "a", "z"}});
    ASSERT_EQ(cursors.size(), 2u);
    std::string seen[2];
    for (size_t at : {1, 0}) {
      cursors[at]->Seek("");
      if (cursors[at]->Valid()) seen[at] = std::string(cursors[at]->value());
    }
    EXPECT_EQ(seen[0], seen[1]);
  }
  writing = false;
  writer.join();
}

TEST_P(KvStoreContract, CursorIsNowhereBeforeItSeeks) {
  PutLetters("a");
  auto cursor = store().Scan(Family::kLog, "", "z");
  EXPECT_FALSE(cursor->Valid());
  EXPECT_TRUE(cursor->status().ok());
}

/// Where a cursor over [c, g) stands after one seek, among the keys a c e g i.
struct SeekCase {
  std::string_view key;
  std::string_view seek;
  std::string_view seek_for_prev;
};

TEST_P(KvStoreContract, SeeksStayWithinTheBounds) {
  PutLetters("acegi");
  auto cursor = store().Scan(Family::kLog, "c", "g");
  auto where = [&] { return cursor->Valid() ? std::string(cursor->key()) : "-"; };
  constexpr SeekCase kCases[] = {{"", "c", "-"},  {"a", "c", "-"}, {"b", "c", "-"}, {"c", "c", "c"},
                                 {"d", "e", "c"}, {"e", "e", "e"}, {"f", "-", "e"}, {"g", "-", "e"},
                                 {"i", "-", "e"}, {"z", "-", "e"}};
  for (const SeekCase& one : kCases) {
    cursor->Seek(one.key);
    EXPECT_EQ(where(), one.seek) << "Seek " << one.key;
    cursor->SeekForPrev(one.key);
    EXPECT_EQ(where(), one.seek_for_prev) << "SeekForPrev " << one.key;
  }
}

TEST_P(KvStoreContract, StepsStayWithinTheBounds) {
  PutLetters("acegi");
  auto cursor = store().Scan(Family::kLog, "c", "g");
  cursor->Seek("c");
  cursor->Next();
  ASSERT_TRUE(cursor->Valid());
  EXPECT_EQ(cursor->key(), "e");
  cursor->Prev();
  ASSERT_TRUE(cursor->Valid());
  EXPECT_EQ(cursor->key(), "c");
  cursor->Prev();
  EXPECT_FALSE(cursor->Valid());
  cursor->SeekForPrev("z");
  ASSERT_TRUE(cursor->Valid());
  cursor->Next();
  EXPECT_FALSE(cursor->Valid());
  cursor->Seek("e");
  EXPECT_TRUE(cursor->Valid()) << "a cursor that ran out can seek again";
  EXPECT_TRUE(cursor->status().ok());
}

TEST_P(KvStoreContract, EmptyAndReversedScansHoldNothing) {
  PutLetters("abc");
  for (auto [from, to] : {std::pair{"b", "b"}, std::pair{"c", "a"}}) {
    auto cursor = store().Scan(Family::kLog, from, to);
    cursor->Seek("");
    EXPECT_FALSE(cursor->Valid());
    cursor->SeekForPrev("z");
    EXPECT_FALSE(cursor->Valid());
  }
}

TEST_P(KvStoreContract, KeepsLargeValues) {
  std::string large(5 << 20, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761u >> 13);
  Put(Family::kLog, "large", large);
  EXPECT_TRUE(Get(Family::kLog, "large") == large);
  auto cursor = store().Scan(Family::kLog, "", "z");
  cursor->Seek("");
  ASSERT_TRUE(cursor->Valid());
  EXPECT_TRUE(cursor->value() == large);
}

TEST_P(KvStoreContract, KeepsEmptyValues) {
  Put(Family::kLog, "empty", "");
  auto got = store().Get(Family::kLog, "empty");
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(*got, std::optional<std::string>(""));
  EXPECT_THAT(Dump(store(), Family::kLog), ElementsAre("empty="));
}

TEST_P(KvStoreContract, OrdersKeysAsUnsignedBytes) {
  const std::vector<std::string> keys = {
      std::string("\0", 1), std::string("\0\0", 2), "\x01", "\x7f", "\x80", std::string("\xff\0", 2)};
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) Put(Family::kLog, *key, "v");
  std::vector<std::string> seen;
  auto cursor = store().Scan(Family::kLog, "", "\xff\xff");
  for (cursor->Seek(""); cursor->Valid(); cursor->Next()) seen.emplace_back(cursor->key());
  EXPECT_EQ(seen, keys);
  EXPECT_EQ(Get(Family::kLog, std::string("\0\0", 2)), "v");
}

TEST_P(KvStoreContract, WritersAndReadersRunTogether) {
  constexpr int kWriters = 4;
  constexpr int kBatches = 100;
  std::atomic<bool> writing{true};
  std::atomic<int> torn{0};
  std::thread reader([&] {
    // Every batch holds one key in each half: a snapshot never sees one without the other.
    while (writing) {
      auto cursor = store().Scan(Family::kLog, "", "z");
      int left = 0;
      int right = 0;
      for (cursor->Seek(""); cursor->Valid(); cursor->Next()) ++(cursor->key()[0] == 'l' ? left : right);
      torn += left != right || !cursor->status().ok();
    }
  });
  std::vector<std::thread> writers;
  std::atomic<int> failed{0};
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kBatches; ++i) {
        auto batch = store().NewBatch();
        batch->Put(Family::kLog, fmt::format("left/{}/{:03}", w, i), {"v"});
        batch->Put(Family::kLog, fmt::format("right/{}/{:03}", w, i), {"v"});
        failed += !store().Write(*batch, /*sync=*/i % 10 == 0).ok();
      }
    });
  }
  for (auto& writer : writers) writer.join();
  writing = false;
  reader.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(Dump(store(), Family::kLog).size(), 2u * kWriters * kBatches);
}

TEST_P(KvStoreContract, TellsItsSpace) {
  auto free_before = store().FreeBytes();
  ASSERT_TRUE(free_before.ok());
  EXPECT_GT(*free_before, 0u);
  auto before = store().FileBytes();
  ASSERT_TRUE(before.ok());
  auto batch = store().NewBatch();
  batch->Put(Family::kLog, "k", {std::string(4 << 20, 'x')});
  ASSERT_TRUE(store().Write(*batch, /*sync=*/true).ok());
  auto after = store().FileBytes();
  ASSERT_TRUE(after.ok());
  EXPECT_GE(*after + (1 << 20), *before + (4u << 20));
}

TEST_P(KvStoreContract, ReclaimKeepsWhatWasNotDeleted) {
  PutLetters("abcdef");
  auto batch = store().NewBatch();
  batch->DeleteRange(Family::kLog, "b", "e");
  ASSERT_TRUE(store().Write(*batch, /*sync=*/true).ok());
  EXPECT_TRUE(store().Reclaim(Family::kLog, "b", "e").ok());
  EXPECT_THAT(Dump(store(), Family::kLog), ElementsAre("a=v", "e=v", "f=v"));
  EXPECT_TRUE(store().Reclaim(Family::kLog, "z", "a").ok());
  EXPECT_THAT(Dump(store(), Family::kMeta), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, KvStoreContract, ::testing::ValuesIn(AllStoreKinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace selvage
