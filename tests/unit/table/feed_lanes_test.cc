#include "fabric/table/feed_lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/support/seeded_random.h"

namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Range = FeedLanes::Range;

constexpr uint64_t kNotOpen = 999;

TEST(FeedLanesTest, AChangeConcernsThoseWhoReadItsRow) {
  FeedLanes lanes;
  lanes.Open(1, "t", "site/a/", 10);
  lanes.Open(2, "t", "site/b/", 10);
  lanes.Open(3, "t", "", 10);
  lanes.Open(4, "other", "", 10);
  EXPECT_THAT(lanes.Note("t", {{10, "site/a/1"}}), UnorderedElementsAre(1, 3));
  EXPECT_THAT(lanes.Note("t", {{11, "site/ab/1"}, {12, "x"}}), ElementsAre(3));
  EXPECT_THAT(lanes.Note("nobody", {{13, "site/a/1"}}), IsEmpty());
  EXPECT_EQ(lanes.End(1, kNotOpen), 11u);
  EXPECT_EQ(lanes.End(2, kNotOpen), 10u);
  EXPECT_EQ(lanes.End(3, kNotOpen), 13u);
  EXPECT_EQ(lanes.End(4, kNotOpen), 10u);
}

TEST(FeedLanesTest, EachReaderIsNamedOnce) {
  FeedLanes lanes;
  lanes.Open(1, "t", "a", 1);
  lanes.Open(2, "t", "a", 1);
  EXPECT_THAT(lanes.Note("t", {{1, "a1"}, {2, "a2"}, {3, "a"}}), UnorderedElementsAre(1, 2));
  EXPECT_THAT(lanes.Note("t", {{4, "a1"}}), UnorderedElementsAre(1, 2)) << "and again with the next group";
}

TEST(FeedLanesTest, WhatWasBeforeAReaderIsNotKnown) {
  FeedLanes lanes;
  lanes.Open(1, "t", "a/", 100);
  lanes.Note("t", {{104, "a/1"}, {105, "b/1"}, {230, "a/2"}});
  EXPECT_EQ(lanes.End(1, kNotOpen), 231u);
  EXPECT_THAT(lanes.Ranges(1, 90, 300), ElementsAre(Range{90, 100}, Range{104, 105}, Range{230, 231}));
  EXPECT_THAT(lanes.Ranges(1, 105, 300), ElementsAre(Range{230, 231}));
  EXPECT_THAT(lanes.Ranges(1, 231, 300), IsEmpty());
  EXPECT_THAT(lanes.Ranges(1, 90, 95), ElementsAre(Range{90, 95}));
  // A second reader finds what the first one knows.
  lanes.Open(2, "t", "a/", 400);
  EXPECT_THAT(lanes.Ranges(2, 104, 300), ElementsAre(Range{104, 105}, Range{230, 231}));
}

TEST(FeedLanesTest, AReaderThatIsNotOpenReadsEverything) {
  FeedLanes lanes;
  EXPECT_EQ(lanes.End(1, kNotOpen), kNotOpen);
  EXPECT_THAT(lanes.Ranges(1, 5, 9), ElementsAre(Range{5, 9}));
  lanes.Open(1, "t", "a", 1);
  lanes.Open(2, "t", "b", 1);
  lanes.Close(1);
  lanes.Close(1);
  EXPECT_EQ(lanes.End(1, kNotOpen), kNotOpen);
  EXPECT_THAT(lanes.Note("t", {{7, "a"}}), IsEmpty());
  EXPECT_THAT(lanes.Note("t", {{8, "b"}}), ElementsAre(2));
  lanes.Close(2);
  EXPECT_THAT(lanes.Note("t", {{9, "b"}}), IsEmpty());
}

TEST(FeedLanesTest, NeighboursAreOneRangeAndRangesAreFew) {
  FeedLanes lanes;
  lanes.Open(1, "t", "a", 1);
  lanes.Note("t", {{1, "a"}, {3, "a"}, {4, "b"}, {6, "a"}});
  EXPECT_THAT(lanes.Ranges(1, 1, 100), ElementsAre(Range{1, 7}));
  for (uint64_t i = 1; i <= 20; ++i) lanes.Note("t", {{i * 1000, "a"}});
  const auto ranges = lanes.Ranges(1, 1, 100'000);
  EXPECT_EQ(ranges.size(), FeedLanes::kRangesMax);
  EXPECT_EQ(ranges.front(), (Range{1, 13'001}));
  EXPECT_EQ(ranges.back(), (Range{20'000, 20'001}));
}

TEST(FeedLanesTest, NoChangeIsOutsideOfTheRanges) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::SeededRandom random(seed);
    FeedLanes lanes;
    struct Reader {
      std::string prefix;
      std::vector<uint64_t> changes;
    };
    std::map<int, Reader> readers;
    std::vector<FeedLanes::Change> all;
    uint64_t sequence = 1;
    for (int step = 0; step < 200; ++step) {
      const auto reader = static_cast<int>(random.Below(6));
      if (random.OneIn(8)) {
        lanes.Close(reader);
        readers.erase(reader);
      } else if (random.OneIn(4) && !readers.contains(reader)) {
        const std::string prefix(random.Below(3), static_cast<char>('a' + random.Below(2)));
        lanes.Open(reader, "t", prefix, sequence);
        Reader& opened = readers[reader];
        opened.prefix = prefix;
        for (const auto& [at, key] : all) {
          if (key.starts_with(prefix)) opened.changes.push_back(at);
        }
      }
      std::vector<FeedLanes::Change> changes;
      for (auto more = random.Below(4); more > 0; --more) {
        const std::string key(random.Between(1, 3), static_cast<char>('a' + random.Below(2)));
        changes.emplace_back(sequence, key);
        for (auto& [number, known] : readers) {
          if (key.starts_with(known.prefix)) known.changes.push_back(sequence);
        }
        sequence += 1 + random.Below(random.OneIn(3) ? 40 : 2);
      }
      lanes.Note("t", changes);
      all.insert(all.end(), changes.begin(), changes.end());
      for (const auto& [number, known] : readers) {
        const uint64_t from = random.Below(sequence + 1);
        const auto ranges = lanes.Ranges(number, from, sequence);
        uint64_t behind = from;
        for (const Range& range : ranges) {
          ASSERT_GE(range.first, behind);
          ASSERT_LT(range.first, range.end);
          behind = range.end;
        }
        for (const uint64_t change : known.changes) {
          ASSERT_LT(change, lanes.End(number, 0));
          if (change < from) continue;
          ASSERT_TRUE(
              std::any_of(ranges.begin(), ranges.end(),
                          [&](const Range& range) { return change >= range.first && change < range.end; }))
              << "the change at " << change;
        }
      }
    }
  }
}

}  // namespace
}  // namespace selvage::table
