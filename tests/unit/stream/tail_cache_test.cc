#include "fabric/stream/tail_cache.h"

#include <gtest/gtest.h>

namespace selvage {
namespace {

Entry EntryAt(int64_t from, int64_t to, size_t bytes = 1000) {
  Entry entry;
  entry.from = Offset(from);
  entry.to = Offset(to);
  entry.body = Bytes(std::string(bytes, 'x'));
  return entry;
}

size_t Held(const TailCache& cache, LogNumber log, int64_t from) {
  return cache.Read(log, Offset(from), 1 << 30).size();
}

constexpr LogNumber kLog(1), kOther(2);

TEST(TailCache, ServesTheEntryThatHoldsTheOffsetAndWhatFollows) {
  TailCache cache(1 << 20);
  cache.Insert(kLog, EntryAt(5, 8));
  cache.Insert(kLog, EntryAt(8, 10));
  EXPECT_EQ(Held(cache, kLog, 4), 0u);
  EXPECT_EQ(Held(cache, kLog, 5), 2u);
  EXPECT_EQ(Held(cache, kLog, 7), 2u);
  EXPECT_EQ(Held(cache, kLog, 9), 1u);
  EXPECT_EQ(Held(cache, kLog, 10), 0u);
  EXPECT_EQ(Held(cache, kOther, 5), 0u);
  EXPECT_EQ(cache.Read(kLog, Offset(5), 1).size(), 1u);
}

TEST(TailCache, OldestGoFirstAcrossLogs) {
  TailCache cache(5 * 1300);
  for (int i = 0; i < 3; ++i) cache.Insert(kLog, EntryAt(i, i + 1));
  for (int i = 0; i < 4; ++i) cache.Insert(kOther, EntryAt(i, i + 1));
  EXPECT_LE(cache.bytes(), 5u * 1300);
  EXPECT_EQ(Held(cache, kLog, 0), 0u);
  EXPECT_EQ(Held(cache, kLog, 2), 1u);
  EXPECT_EQ(Held(cache, kOther, 0), 4u);
}

TEST(TailCache, KeepsOnlyWhatJoins) {
  TailCache cache(1 << 20);
  cache.Insert(kLog, EntryAt(0, 2));
  cache.Insert(kLog, EntryAt(5, 8));
  EXPECT_EQ(Held(cache, kLog, 0), 0u);
  EXPECT_EQ(Held(cache, kLog, 5), 1u);
  cache.Insert(kLog, EntryAt(8, 9, 2 << 20));
  EXPECT_EQ(Held(cache, kLog, 5), 0u) << "too large to keep, and nothing after it would join";
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(TailCache, ForgettingKeepsTheAccountRight) {
  TailCache cache(4 * 1300);
  for (int round = 0; round < 100; ++round) {
    cache.Insert(kOther, EntryAt(round, round + 1));
    for (int i = 0; i < 6; ++i) cache.Insert(kLog, EntryAt(i, i + 1));
    cache.Forget(kLog);
    EXPECT_EQ(Held(cache, kLog, 0), 0u);
  }
  cache.Forget(kOther);
  EXPECT_EQ(cache.bytes(), 0u);
  cache.Insert(kLog, EntryAt(0, 1));
  EXPECT_EQ(Held(cache, kLog, 0), 1u);
}

TEST(TailCache, SmallEntriesAreChargedForWhatTheyTake) {
  TailCache cache(100'000);
  for (int i = 0; i < 10'000; ++i) cache.Insert(kLog, EntryAt(i, i + 1, 10));
  EXPECT_LE(Held(cache, kLog, 9'999 - 100), 1000u);
  EXPECT_EQ(Held(cache, kLog, 1'000), 0u);
}

}  // namespace
}  // namespace selvage
