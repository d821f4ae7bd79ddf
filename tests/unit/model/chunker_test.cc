#include "fabric/model/chunker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "fabric/model/digest.h"
#include "tests/support/seeded_random.h"

namespace selvage::model {
namespace {

constexpr ChunkSizes kSmall{.min = 256, .average = 1'024, .max = 4'096};

std::string RandomBytes(uint64_t seed, size_t size) {
  test::SeededRandom random(seed);
  std::string bytes(size, '\0');
  random.Fill(bytes.data(), bytes.size());
  return bytes;
}

std::vector<std::string> ChunksOf(std::string_view data, const ChunkSizes& sizes) {
  std::vector<std::string> chunks;
  while (!data.empty()) {
    const size_t size = FirstChunk(data, sizes);
    chunks.emplace_back(data.substr(0, size));
    data.remove_prefix(size);
  }
  return chunks;
}

size_t BytesNotIn(const std::vector<std::string>& chunks, const std::vector<std::string>& others) {
  const std::set<std::string> there(others.begin(), others.end());
  size_t bytes = 0;
  for (const std::string& chunk : chunks) bytes += there.contains(chunk) ? 0 : chunk.size();
  return bytes;
}

TEST(ChunkerTest, ChunksKeepTheirSizesAndAddUp) {
  const std::string data = RandomBytes(1, 2 << 20);
  const std::vector<std::string> chunks = ChunksOf(data, kSmall);
  std::string all;
  for (size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_LE(chunks[i].size(), kSmall.max);
    EXPECT_TRUE(i + 1 == chunks.size() || chunks[i].size() >= kSmall.min) << i;
    all += chunks[i];
  }
  EXPECT_EQ(all, data);
  const double average = static_cast<double>(data.size()) / static_cast<double>(chunks.size());
  EXPECT_GT(average, 0.8 * static_cast<double>(kSmall.average));
  EXPECT_LT(average, 1.6 * static_cast<double>(kSmall.average));
}

TEST(ChunkerTest, WhatDoesNotVaryIsCutAtTheGreatestSize) {
  const std::string zeros(3 * kSmall.max + 7, '\0');
  const std::vector<std::string> chunks = ChunksOf(zeros, kSmall);
  ASSERT_EQ(chunks.size(), 4u);
  EXPECT_EQ(chunks.front().size(), kSmall.max);
  EXPECT_EQ(chunks.back().size(), 7u);
}

TEST(ChunkerTest, BytesThatArePutInChangeTheChunksAroundThem) {
  const std::string before = RandomBytes(2, 1 << 20);
  std::string after = before;
  after.insert(300'000, "sixteen new bytes");
  after.erase(700'000, 5);
  const size_t sent = BytesNotIn(ChunksOf(after, kSmall), ChunksOf(before, kSmall));
  EXPECT_LE(sent, 6 * kSmall.max);
  EXPECT_GT(sent, 0u);
}

TEST(ChunkerTest, MoreDataBehindAChunkDoesNotMoveItsEnd) {
  const std::string data = RandomBytes(3, 64 << 10);
  const size_t first = FirstChunk(data, kSmall);
  EXPECT_EQ(FirstChunk(std::string_view(data).substr(0, kSmall.max), kSmall), first);
}

TEST(ChunkerTest, CutsAreFrozen) {
  // Other cuts would share nothing with the versions that edges have.
  const std::string data = RandomBytes(4, 1 << 20);
  std::string ends;
  size_t at = 0;
  for (const std::string& chunk : ChunksOf(data, {})) ends += std::to_string(at += chunk.size()) + " ";
  EXPECT_EQ(ends,
            "76941 141711 210012 277529 321645 360501 436342 503760 552121 644244 734183 756968 844598 "
            "941540 965149 "
            "1047964 1048576 ");
}

}  // namespace
}  // namespace selvage::model
