#include "ctl/row_compare.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "fabric/base/error.h"
#include "fabric/table/rows_digest.h"

namespace selvage::ctl {
namespace {

/// Sixteen bytes that begin with `text`.
std::string Version(const std::string& text) {
  return (text + std::string(16, '.')).substr(0, 16);
}

/// One copy of a table. It gives less in one answer than it is asked for, so that parts never line up.
struct RowsCopy {
  std::map<std::string, std::string> rows;
  uint32_t most = 100'000;
  std::string incarnation = "one";
  std::vector<v1::DigestRowsRequest> asked = {};

  RowDigests digests() {
    return [this](const v1::DigestRowsRequest& request) -> absl::StatusOr<v1::DigestRowsResponse> {
      asked.push_back(request);
      v1::DigestRowsResponse response;
      table::RowsDigest digest;
      for (auto row = rows.lower_bound(std::max(request.from(), request.prefix())); row != rows.end();
           ++row) {
        if (!request.to().empty() && row->first >= request.to()) break;
        if (!row->first.starts_with(request.prefix())) break;
        if (digest.rows() == std::min(most, request.rows_max())) {
          response.set_next(row->first);
          break;
        }
        digest.Add(row->first, *table::RowDigest::FromBytes(row->second));
        if (!request.versions()) continue;
        v1::RowVersion& version = *response.add_versions();
        version.set_key(row->first);
        version.set_version(row->second);
      }
      response.set_digest(digest.bytes());
      response.set_rows(digest.rows());
      response.set_at_ms(request.has_at_ms() ? request.at_ms() : 1234);
      response.set_incarnation(incarnation);
      return response;
    };
  }
};

class RowCompareTest : public testing::Test {
 protected:
  void Fill(int rows) {
    for (int i = 0; i < rows; ++i) core_.rows[fmt::format("k{:06}", i)] = Version(std::to_string(i));
    edge_.rows = core_.rows;
  }
  absl::StatusOr<RowComparison> Compare(const std::string& prefix = "") {
    v1::DigestRowsRequest range;
    range.set_table("t");
    range.set_prefix(prefix);
    return CompareRows({core_.digests(), edge_.digests(), pause_}, range);
  }
  std::optional<RowDifference> Difference() {
    const auto comparison = Compare();
    EXPECT_TRUE(comparison.ok()) << comparison.status();
    return comparison.ok() ? comparison->difference : std::nullopt;
  }

  RowsCopy core_;
  RowsCopy edge_;
  std::function<bool(int)> pause_ = [](int) { return false; };
};

TEST_F(RowCompareTest, EqualCopiesTakeFewAnswers) {
  Fill(120'000);
  const auto comparison = Compare();
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  EXPECT_FALSE(comparison->difference);
  EXPECT_EQ(comparison->rows, 120'000u);
  EXPECT_EQ(core_.asked.size(), 3u);
  EXPECT_EQ(edge_.asked.size(), 3u);
  EXPECT_FALSE(core_.asked[0].has_at_ms());
  for (const auto& request : edge_.asked) EXPECT_EQ(request.at_ms(), 1234) << "as of one time";
}

TEST_F(RowCompareTest, NamesTheFirstRowThatDiffersWhereverItIs) {
  for (const int at : {0, 1, 124, 125, 2'499, 2'500, 49'999, 50'000, 70'123, 119'999}) {
    Fill(120'000);
    const std::string key = fmt::format("k{:06}", at);
    edge_.rows[key] = Version("other");
    edge_.rows["k119999"] = Version("later");
    core_.asked.clear();
    const auto comparison = Compare();
    ASSERT_TRUE(comparison.ok()) << comparison.status();
    ASSERT_TRUE(comparison->difference) << at;
    EXPECT_EQ(comparison->difference->key, key);
    EXPECT_EQ(comparison->difference->core_version, Version(std::to_string(at)));
    EXPECT_EQ(comparison->rows, static_cast<uint64_t>(at)) << "all before it are the same";
    EXPECT_LE(core_.asked.size(), 3u + 20 + 20) << "it goes into the first part that differs only";
  }
}

TEST_F(RowCompareTest, ARowThatOneEndDoesNotHaveIsADifference) {
  Fill(10);
  edge_.rows.erase("k000007");
  EXPECT_EQ(Difference()->key, "k000007");
  EXPECT_EQ(Difference()->edge_version, "");
  edge_.rows["k0000065"] = Version("more");
  EXPECT_EQ(Difference()->key, "k0000065");
  EXPECT_EQ(Difference()->core_version, "");
  core_.rows.clear();
  EXPECT_EQ(Difference()->key, "k000000");
  edge_.rows.clear();
  EXPECT_FALSE(Difference());
  core_.rows["z"] = Version("last");
  EXPECT_EQ(Difference()->key, "z");
}

TEST_F(RowCompareTest, PartsNeedNotBeCutAlike) {
  Fill(7'000);
  edge_.most = 37;
  EXPECT_FALSE(Difference());
  core_.most = 101;
  EXPECT_FALSE(Difference());
  edge_.rows["k006543"] = Version("other");
  EXPECT_EQ(Difference()->key, "k006543");
  edge_.rows.erase("k000099");
  EXPECT_EQ(Difference()->key, "k000099");
}

TEST_F(RowCompareTest, OnlyRowsWithThePrefixAreCompared) {
  Fill(10);
  core_.rows["other"] = Version("not the edge's");
  const auto comparison = Compare("k");
  ASSERT_TRUE(comparison.ok());
  EXPECT_FALSE(comparison->difference);
  EXPECT_EQ(comparison->rows, 10u);
}

TEST_F(RowCompareTest, ChangesUnderWayAreWaitedFor) {
  Fill(10);
  edge_.rows["k000003"] = Version("late");
  edge_.rows["k000008"] = Version("late too");
  pause_ = [this](int looks) {
    if (looks == 1) edge_.rows = core_.rows;
    return looks < 5;
  };
  const auto comparison = Compare();
  ASSERT_TRUE(comparison.ok());
  EXPECT_FALSE(comparison->difference);
  EXPECT_EQ(comparison->rows, 10u);
}

TEST_F(RowCompareTest, ARowThatKeepsChangingIsToldFromOneThatStaysDifferent) {
  Fill(10);
  edge_.rows["k000003"] = Version("other");
  int changes = 100;  // versions that no row had before
  pause_ = [](int looks) { return looks < 3; };
  EXPECT_FALSE(Difference()->changing);
  pause_ = [&](int looks) {
    core_.rows["k000003"] = Version(std::to_string(++changes));
    return looks < 3;
  };
  EXPECT_TRUE(Difference()->changing);
}

TEST_F(RowCompareTest, WhatIsNoAnswerIsAnError) {
  Fill(10);
  edge_.incarnation = "two";
  EXPECT_EQ(ErrorKind(Compare().status()), "table_changed");
  edge_.incarnation = "one";
  const auto broken = [&](const std::function<void(v1::DigestRowsResponse&)>& change) {
    const RowDigests edge = [&, good = edge_.digests()](const v1::DigestRowsRequest& request) {
      auto response = good(request);
      change(*response);
      return response;
    };
    v1::DigestRowsRequest range;
    return ErrorKind(CompareRows({core_.digests(), edge, pause_}, range).status());
  };
  EXPECT_EQ(broken([](auto& response) { response.set_digest("short"); }), "unexpected_answer");
  EXPECT_EQ(broken([](auto& response) { response.set_next(""); }), "unexpected_answer") << "no end of it";
  const RowDigests away = [](const v1::DigestRowsRequest&) {
    return MakeError(absl::StatusCode::kUnavailable, "edge_offline", "it is not linked");
  };
  EXPECT_EQ(ErrorKind(CompareRows({core_.digests(), away, pause_}, {}).status()), "edge_offline");
}

}  // namespace
}  // namespace selvage::ctl
