#include "fabric/table/query_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "fabric/table/canonical_json.h"
#include "fabric/table/index_value.h"

namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using By = QueryOrder::By;

std::string V(std::string_view json) {
  return IndexValue(CanonicalJson::Parse(json).value().text());
}
std::string After(std::string value) {
  return value + '\xff';
}
KeyRange One(std::string_view json) {
  return {V(json), After(V(json))};
}
const std::string kNumbers = "\x04";
const std::string kTexts = "\x05";
const std::string kOthers = "\x06";
KeyRange Others() {
  return One("[]");
}

QueryOrder ByPath(std::string_view path) {
  return {.by = By::kPath, .path = FieldPath::Parse(path)};
}

/// Indexes on a, b and c.d, named so.
TableIndexes Indexes() {
  return {
      {1, "a", FieldPath::Parse("a")}, {2, "b", FieldPath::Parse("b")}, {3, "c", FieldPath::Parse("c.d")}};
}

QueryPlan PlanOf(std::string_view filter, const QueryOrder& order = {}, const KeyRange& keys = {}) {
  return PlanQuery(Filter::Parse(filter)->Conditions(), order, keys, Indexes());
}
/// The name of the index, or "" for none.
std::string IndexOfPlan(std::string_view filter, const QueryOrder& order = {}, const KeyRange& keys = {}) {
  const QueryPlan plan = PlanOf(filter, order, keys);
  return plan.index ? plan.index->name : "";
}

TEST(QueryPlanTest, WithoutAUsefulIndexTheRowsAreRead) {
  for (const char* filter : {"{}", R"({"x":1})", R"({"a":{"$ne":1}})", R"({"a":{"$exists":true}})",
                             R"({"$or":[{"a":1},{"b":1}]})", R"({"$not":{"a":1}})", R"({"a.b":1})"}) {
    const QueryPlan plan = PlanOf(filter, {}, {"k", "l"});
    EXPECT_FALSE(plan.index) << filter;
    EXPECT_THAT(plan.ranges, ElementsAre(KeyRange{"k", "l"}));
    EXPECT_FALSE(plan.sorts);
  }
}

TEST(QueryPlanTest, ConditionsBecomeRanges) {
  EXPECT_THAT(PlanOf(R"({"a":7})").ranges, ElementsAre(One("7"), Others()));
  EXPECT_THAT(PlanOf(R"({"c.d":"x"})").ranges, ElementsAre(One(R"("x")"), Others()));
  EXPECT_THAT(PlanOf(R"({"a":null})").ranges, ElementsAre(One("null"), Others()));
  EXPECT_THAT(PlanOf(R"({"a":{"$in":["x",3,3.0,true,[1]]}})").ranges,
              ElementsAre(One("true"), One("3"), One(R"("x")"), Others()));
  EXPECT_THAT(PlanOf(R"({"a":[1]})").ranges, ElementsAre(Others()));
  EXPECT_THAT(PlanOf(R"({"a":{"$in":[]}})").ranges, ElementsAre(Others()));
  EXPECT_THAT(PlanOf(R"({"a":{"$gt":7}})").ranges, ElementsAre(KeyRange{After(V("7")), kTexts}, Others()));
  EXPECT_THAT(PlanOf(R"({"a":{"$gte":7}})").ranges, ElementsAre(KeyRange{V("7"), kTexts}, Others()));
  EXPECT_THAT(PlanOf(R"({"a":{"$lt":7}})").ranges, ElementsAre(KeyRange{kNumbers, V("7")}, Others()));
  EXPECT_THAT(PlanOf(R"({"a":{"$lte":7}})").ranges, ElementsAre(KeyRange{kNumbers, After(V("7"))}, Others()));
  EXPECT_THAT(PlanOf(R"({"a":{"$gt":"m"}})").ranges,
              ElementsAre(KeyRange{After(V(R"("m")")), kOthers}, Others()));
}

TEST(QueryPlanTest, ConditionsOnOnePathMeet) {
  EXPECT_THAT(PlanOf(R"({"a":{"$gt":2,"$lte":9}})").ranges,
              ElementsAre(KeyRange{After(V("2")), After(V("9"))}, Others()));
  EXPECT_THAT(PlanOf(R"({"$and":[{"a":{"$in":[1,5,9]}},{"a":{"$gte":5}}]})").ranges,
              ElementsAre(One("5"), One("9"), Others()));
  EXPECT_THAT(PlanOf(R"({"a":{"$gt":9,"$lt":2}})").ranges, ElementsAre(Others()))
      << "an array may have one element for each";
  EXPECT_THAT(PlanOf(R"({"a":{"$gt":9,"$lt":"x"}})").ranges, ElementsAre(Others()));
}

TEST(QueryPlanTest, ALongTextIsBoundedByItsFirstBytes) {
  const std::string long_text = '"' + std::string(kIndexedTextMax, 'x') + "y\"";
  const std::string cut = V(long_text);
  EXPECT_EQ(cut, V('"' + std::string(kIndexedTextMax, 'x') + '"'));
  EXPECT_THAT(PlanOf(R"({"a":{"$gt":)" + long_text + "}}").ranges,
              ElementsAre(KeyRange{cut, kOthers}, Others()));
  EXPECT_THAT(PlanOf(R"({"a":{"$lt":)" + long_text + "}}").ranges,
              ElementsAre(KeyRange{kTexts, After(cut)}, Others()));
}

TEST(QueryPlanTest, EqualityComesBeforeListsAndRanges) {
  EXPECT_EQ(IndexOfPlan(R"({"a":{"$gt":1},"b":{"$in":[1,2]},"c.d":3})"), "c");
  EXPECT_EQ(IndexOfPlan(R"({"a":{"$gt":1},"b":{"$in":[1,2]}})"), "b");
  EXPECT_EQ(IndexOfPlan(R"({"a":{"$gt":1},"x":3})"), "a");
  EXPECT_EQ(IndexOfPlan(R"({"b":1,"a":1})"), "a") << "the first by name";
  EXPECT_EQ(IndexOfPlan(R"({"a":{"$in":[1]},"b":1})"), "a") << "a list of one is an equality";
}

TEST(QueryPlanTest, KeysThatAreAskedForNarrowValuesAndRuleOutRanges) {
  EXPECT_THAT(PlanOf(R"({"a":7})", {}, {"k", "l"}).ranges,
              ElementsAre(KeyRange{V("7") + "k", V("7") + "l"}, KeyRange{V("[]") + "k", V("[]") + "l"}));
  EXPECT_THAT(PlanOf(R"({"a":7})", {}, {"k", ""}).ranges,
              ElementsAre(KeyRange{V("7") + "k", After(V("7"))}, KeyRange{V("[]") + "k", After(V("[]"))}));
  EXPECT_EQ(IndexOfPlan(R"({"a":{"$gt":7}})", {}, {"k", "l"}), "");
  EXPECT_EQ(IndexOfPlan(R"({"a":{"$gt":7},"b":{"$in":[1,2]}})", {}, {"k", "l"}), "b");
}

TEST(QueryPlanTest, AnOrderIsThatOfItsIndex) {
  QueryPlan plan = PlanOf(R"({"a":7})", ByPath("b"));
  EXPECT_EQ(plan.index->name, "b");
  EXPECT_THAT(plan.ranges, ElementsAre(KeyRange{"\x01", "\x07"}));
  EXPECT_FALSE(plan.sorts);
  plan = PlanOf(R"({"b":{"$gt":3}})", ByPath("b"));
  EXPECT_THAT(plan.ranges, SizeIs(2));
  EXPECT_EQ(plan.ranges[0], (KeyRange{After(V("3")), kTexts}));
  EXPECT_EQ(IndexOfPlan(R"({"b":{"$gt":3}})", ByPath("b"), {"k", "l"}), "b")
      << "whatever keys are asked for: it has the order";
}

TEST(QueryPlanTest, AnOrderWithoutIndexIsSorted) {
  QueryPlan plan = PlanOf(R"({"a":7})", ByPath("x"));
  EXPECT_TRUE(plan.sorts);
  EXPECT_EQ(plan.index->name, "a");
  plan = PlanOf("{}", ByPath("x"));
  EXPECT_TRUE(plan.sorts);
  EXPECT_FALSE(plan.index);
}

TEST(QueryPlanTest, AnOrderByKeyReadsTheRows) {
  const QueryPlan plan = PlanOf(R"({"a":7})", {.by = By::kKey});
  EXPECT_FALSE(plan.index);
  EXPECT_FALSE(plan.sorts);
  EXPECT_THAT(plan.ranges, ElementsAre(KeyRange{}));
}

}  // namespace
}  // namespace selvage::table
