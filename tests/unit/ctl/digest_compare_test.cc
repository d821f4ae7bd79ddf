#include "ctl/digest_compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

/// One copy of a log; answers pages of two entries, so that every comparison crosses pages.
struct Copy {
  std::string log_id = "log";
  int64_t start = 0;
  std::vector<v1::EntryDigest> entries;

  Copy& Batch(int64_t to, const std::string& digest) { return Add(to, digest, false); }
  Copy& Gap(int64_t to) { return Add(to, "gap", true); }
  Copy& Trim(int64_t at) {
    std::erase_if(entries, [at](const v1::EntryDigest& entry) { return entry.to() <= at; });
    start = at;
    return *this;
  }
  int64_t end() const { return entries.empty() ? start : entries.back().to(); }

  DigestPages pages() {
    return [this](int64_t offset) -> absl::StatusOr<v1::ReadDigestsResponse> {
      if (offset == -2) offset = start;
      if (offset < start) return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range", "trimmed");
      v1::ReadDigestsResponse page;
      page.set_log_id(log_id);
      page.set_start(start);
      page.set_end(end());
      for (const v1::EntryDigest& entry : entries) {
        if (entry.to() > offset && page.entries_size() < 2) *page.add_entries() = entry;
      }
      return page;
    };
  }

 private:
  Copy& Add(int64_t to, const std::string& digest, bool gap) {
    v1::EntryDigest entry;
    entry.set_from(end());
    entry.set_to(to);
    entry.set_digest(digest);
    entry.set_gap(gap);
    entries.push_back(entry);
    return *this;
  }
};

Comparison Compare(Copy core, Copy edge) {
  absl::StatusOr<Comparison> result = CompareDigests(core.pages(), edge.pages());
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : Comparison();
}

Copy Five() {
  return Copy().Batch(10, "a").Batch(20, "b").Gap(30).Batch(40, "d").Batch(50, "e");
}

TEST(DigestCompareTest, EqualCopies) {
  Comparison result = Compare(Five(), Five());
  EXPECT_TRUE(result.equal());
  EXPECT_EQ(result.entries, 5);
  EXPECT_EQ(result.records, 40);
  EXPECT_EQ(result.from, 0);
  EXPECT_EQ(result.to, 50);
  EXPECT_TRUE(result.gaps.empty());
}

TEST(DigestCompareTest, OnlyTheCommonRangeCounts) {
  Comparison result = Compare(Five(), Five().Batch(60, "f").Trim(20));
  EXPECT_TRUE(result.equal());
  EXPECT_EQ(result.from, 20);
  EXPECT_EQ(result.to, 50);
  EXPECT_EQ(result.entries, 3);
  EXPECT_EQ(result.edge_end, 60);
  EXPECT_EQ(result.core_end, 50);
}

TEST(DigestCompareTest, NothingInCommonIsEqual) {
  Comparison result = Compare(Copy(), Five());
  EXPECT_TRUE(result.equal());
  EXPECT_EQ(result.from, result.to);
}

TEST(DigestCompareTest, TheFirstDifferenceIsNamed) {
  Comparison result =
      Compare(Five(), Copy().Batch(10, "a").Batch(20, "b").Gap(30).Batch(40, "X").Batch(50, "Y"));
  EXPECT_FALSE(result.equal());
  EXPECT_EQ(result.difference, "at offset 30 the core has a batch 30..39 64, the edge has a batch 30..39 58");
  EXPECT_EQ(result.entries, 3);
}

TEST(DigestCompareTest, OtherBoundariesAreADifference) {
  Comparison result = Compare(Five(), Copy().Batch(10, "a").Batch(15, "b").Batch(20, "c"));
  EXPECT_THAT(result.difference, testing::HasSubstr("at offset 10 the core has a batch 10..19"));
}

TEST(DigestCompareTest, AGapAtOneEndIsNoDifference) {
  Copy core = Copy().Batch(10, "a").Gap(40).Batch(50, "e");
  Comparison result = Compare(core, Five());
  EXPECT_TRUE(result.equal());
  ASSERT_EQ(result.gaps.size(), 2u);  // 20..29 is a gap at both ends
  EXPECT_TRUE(result.gaps[0].at_core);
  EXPECT_EQ(result.gaps[0].from, 10);
  EXPECT_EQ(result.gaps[0].to, 20);
  EXPECT_EQ(result.gaps[1].from, 30);
  EXPECT_EQ(result.gaps[1].to, 40);
  EXPECT_EQ(result.entries, 2);

  Comparison turned = Compare(Five(), core);
  ASSERT_EQ(turned.gaps.size(), 2u);
  EXPECT_FALSE(turned.gaps[0].at_core);
}

TEST(DigestCompareTest, OtherHistoriesAreADifference) {
  Copy other = Five();
  other.log_id = "other";
  EXPECT_THAT(Compare(Five(), other).difference, testing::HasSubstr("different logs"));
}

TEST(DigestCompareTest, EntriesForgottenMeanwhileAreSkipped) {
  Copy core = Five();
  Copy edge = Five();
  DigestPages edge_pages = edge.pages();
  int calls = 0;
  absl::StatusOr<Comparison> result = CompareDigests(core.pages(), [&](int64_t offset) {
    if (++calls == 3) edge.Trim(40);
    return edge_pages(offset);
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->equal());
  EXPECT_EQ(result->entries, 3);  // two before the trim, and the last
}

TEST(DigestCompareTest, AHoleThatIsNoGapIsAnError) {
  Copy broken = Five();
  broken.entries.erase(broken.entries.begin() + 1);
  Copy whole = Five();
  EXPECT_EQ(ErrorKind(CompareDigests(whole.pages(), broken.pages()).status()), "unexpected_answer");
}

}  // namespace
}  // namespace selvage::ctl
