#include "fabric/table/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/table/canonical_json.h"
#include "fabric/table/index_definition.h"
#include "fabric/table/projection.h"

namespace selvage::table {
namespace {

using ::testing::HasSubstr;

std::string Projected(const std::vector<std::string>& paths, std::string_view row) {
  return Projection(ParseWantedFields(paths).value()).Of(CanonicalJson::Parse(row).value().text());
}

TEST(ProjectionTest, KeepsWhatThePathsLeadTo) {
  const std::string row = R"({"a":{"b":1,"c":[2]},"d":"x","e":[{"f":1,"g":2},3,{"g":4},[{"f":5}]]})";
  EXPECT_EQ(Projected({}, row), row);
  EXPECT_EQ(Projected({"d"}, row), R"({"d":"x"})");
  EXPECT_EQ(Projected({"d", "a.b"}, row), R"({"a":{"b":1},"d":"x"})");
  EXPECT_EQ(Projected({"a", "a.b"}, row), R"({"a":{"b":1,"c":[2]}})") << "the whole of it was asked for, too";
  EXPECT_EQ(Projected({"a.x"}, row), R"({"a":{}})");
  EXPECT_EQ(Projected({"d.x"}, row), "{}") << "there is nothing in a string";
  EXPECT_EQ(Projected({"x"}, row), "{}");
  EXPECT_EQ(Projected({"e.f"}, row), R"({"e":[{"f":1},{}]})") << "of an array the elements that are objects";
  EXPECT_EQ(Projected({"d", "x.y", "d.x"}, row), R"({"d":"x"})");
}

TEST(QueryTest, AnOrderIsAPathOrTheKey) {
  EXPECT_EQ(ParseOrder("", false)->by, QueryOrder::By::kAny);
  EXPECT_EQ(ParseOrder("$key", true)->by, QueryOrder::By::kKey);
  const auto order = ParseOrder("a.b", true);
  EXPECT_EQ(order->by, QueryOrder::By::kPath);
  EXPECT_EQ(order->path->text, "a.b");
  EXPECT_TRUE(order->descending);
  for (const char* wrong : {"$a", "a\xff"})
    EXPECT_EQ(ErrorKind(ParseOrder(wrong, false).status()), "invalid_query");
  EXPECT_EQ(ErrorKind(ParseOrder("", true).status()), "invalid_query");
}

TEST(QueryTest, TooManyOrTooDeepFieldsAreRefused) {
  EXPECT_EQ(ErrorKind(ParseWantedFields(std::vector<std::string>(kFieldsWantedMax + 1, "a")).status()),
            "invalid_query");
  EXPECT_EQ(ErrorKind(ParseWantedFields({""}).status()), "invalid_query");
}

TEST(IndexDefinitionTest, PathsAndNamesHaveBounds) {
  const auto refused = [](const std::string& path) {
    const auto parsed = ParseFieldPath(path, "invalid_index", "an index");
    return parsed.ok() ? "" : ErrorKind(parsed.status());
  };
  std::string deep = "a";
  for (size_t i = 1; i < kPathStepsMax; ++i) deep += ".a";
  EXPECT_EQ(refused(deep), "");
  EXPECT_EQ(refused(deep + ".a"), "invalid_index");
  EXPECT_EQ(refused(""), "invalid_index");
  EXPECT_EQ(refused("$key"), "invalid_index");
  EXPECT_EQ(refused("a\xff"), "invalid_index");
  EXPECT_EQ(refused(std::string(kPathBytesMax + 1, 'a')), "invalid_index");
  std::string hundred = "a";
  for (int i = 1; i < 100; ++i) hundred += ".a";
  EXPECT_THAT(std::string(ParseFieldPath(hundred, "invalid_index", "an index").status().message()),
              HasSubstr("100 names deep"));
  EXPECT_TRUE(CheckIndexName("by-bar_2.x").ok());
  for (const char* name : {"", "a b", "a/b", "é"}) {
    EXPECT_EQ(ErrorKind(CheckIndexName(name)), "invalid_index") << name;
  }
  EXPECT_EQ(IndexNameOf("site.country"), "site.country");
  EXPECT_EQ(IndexNameOf("a b/c"), "a_b_c");
}

}  // namespace
}  // namespace selvage::table
