#include "fabric/table/filter.h"

#include <gmock/gmock.h>

#include "fabric/base/error.h"
#include "fabric/table/canonical_json.h"

namespace selvage::table {
namespace {

using ::testing::HasSubstr;

bool Matches(std::string_view filter, std::string_view row) {
  const auto parsed = Filter::Parse(filter);
  EXPECT_TRUE(parsed.ok()) << filter << ": " << parsed.status();
  const auto canonical = CanonicalJson::Parse(row);
  EXPECT_TRUE(canonical.ok()) << row;
  return parsed.ok() && canonical.ok() && parsed->Matches(canonical->text());
}

void ExpectRefused(std::string_view filter, std::string_view message) {
  const auto parsed = Filter::Parse(filter);
  ASSERT_FALSE(parsed.ok()) << filter;
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorKind(parsed.status()), "invalid_filter");
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(message)) << filter;
}

TEST(FilterTest, AnEmptyFilterMatchesEveryRow) {
  EXPECT_TRUE(Matches("{}", "{}"));
  EXPECT_TRUE(Matches("{}", R"({"a":1})"));
}

TEST(FilterTest, FieldsAreComparedByValue) {
  EXPECT_TRUE(Matches(R"({"a":1.0})", R"({"a":1})"));
  EXPECT_TRUE(Matches(R"({"a":"\u0041"})", R"({"a":"A"})"));
  EXPECT_FALSE(Matches(R"({"a":1})", R"({"a":"1"})"));
  EXPECT_FALSE(Matches(R"({"a":1})", R"({"b":1})"));
  EXPECT_FALSE(Matches(R"({"a":0})", R"({"a":false})"));
  EXPECT_TRUE(Matches(R"({"a":{"y":1,"x":[2,{}]}})", R"({"a":{"x":[2.0,{}],"y":1}})"));
  EXPECT_FALSE(Matches(R"({"a":{"x":1}})", R"({"a":{"x":1,"y":2}})")) << "the whole object is compared";
  EXPECT_TRUE(Matches(R"({"a":{}})", R"({"a":{}})"));
  EXPECT_FALSE(Matches(R"({"a":{}})", R"({"a":{"x":1}})"));
  EXPECT_TRUE(Matches(R"({"a\n\"b":1})", R"({"a\n\"b":1})")) << "a name that is written with escapes";
}

TEST(FilterTest, AllFieldsOfAFilterMustMatch) {
  EXPECT_TRUE(Matches(R"({"a":1,"b":2})", R"({"a":1,"b":2,"c":3})"));
  EXPECT_FALSE(Matches(R"({"a":1,"b":2})", R"({"a":1,"b":3})"));
}

TEST(FilterTest, NullMatchesWhatIsNotThere) {
  EXPECT_TRUE(Matches(R"({"a":null})", R"({"a":null})"));
  EXPECT_TRUE(Matches(R"({"a":null})", R"({"b":1})"));
  EXPECT_TRUE(Matches(R"({"a.b":null})", R"({"a":1})"));
  EXPECT_FALSE(Matches(R"({"a":null})", R"({"a":0})"));
  EXPECT_TRUE(Matches(R"({"a":{"$in":[1,null]}})", "{}"));
  EXPECT_FALSE(Matches(R"({"a":{"$ne":null}})", "{}"));
  EXPECT_TRUE(Matches(R"({"a":{"$ne":null}})", R"({"a":0})"));
}

TEST(FilterTest, ExistsTellsNullFromNothing) {
  EXPECT_TRUE(Matches(R"({"a":{"$exists":true}})", R"({"a":null})"));
  EXPECT_FALSE(Matches(R"({"a":{"$exists":true}})", "{}"));
  EXPECT_TRUE(Matches(R"({"a.b":{"$exists":false}})", R"({"a":{"c":1}})"));
  EXPECT_FALSE(Matches(R"({"a.b":{"$exists":false}})", R"({"a":{"b":1}})"));
}

TEST(FilterTest, NumbersAreOrderedExactlyAcrossIntegersAndDoubles) {
  EXPECT_TRUE(Matches(R"({"a":{"$gt":1.5}})", R"({"a":2})"));
  EXPECT_TRUE(Matches(R"({"a":{"$lt":-1.5}})", R"({"a":-2})"));
  EXPECT_FALSE(Matches(R"({"a":{"$lt":-1.5}})", R"({"a":-1})"));
  EXPECT_TRUE(Matches(R"({"a":{"$gt":9007199254740992}})", R"({"a":9007199254740993})"))
      << "as doubles they are equal";
  EXPECT_TRUE(Matches(R"({"a":{"$lt":9223372036854775808}})", R"({"a":9223372036854775807})"));
  EXPECT_FALSE(Matches(R"({"a":{"$gte":9223372036854775808}})", R"({"a":9223372036854775807})"));
  EXPECT_TRUE(Matches(R"({"a":{"$gt":-1e300}})", R"({"a":-9223372036854775808})"));
  EXPECT_TRUE(Matches(R"({"a":{"$gte":0.1,"$lte":0.1}})", R"({"a":0.1})"));
  EXPECT_FALSE(Matches(R"({"a":{"$gt":0.1}})", R"({"a":0.1})"));
}

TEST(FilterTest, StringsAreOrderedByTheirBytes) {
  EXPECT_TRUE(Matches(R"({"a":{"$gt":"Z"}})", R"({"a":"a"})"));
  EXPECT_TRUE(Matches(R"({"a":{"$lt":"é"}})", R"({"a":"z"})"));
  EXPECT_TRUE(Matches(R"({"a":{"$lt":" "}})", R"({"a":"\n"})")) << "by what an escape stands for";
  EXPECT_TRUE(Matches(R"({"a":{"$gt":"!"}})", R"({"a":"\""})"));
  EXPECT_TRUE(Matches(R"({"a":{"$gte":"b","$lt":"c"}})", R"({"a":"bzz"})"));
  EXPECT_TRUE(Matches(R"({"a":{"$gt":"b"}})", R"({"a":"b\u0000"})"));
}

TEST(FilterTest, DifferentTypesAreNeitherLessNorGreater) {
  for (const char* op : {"$lt", "$lte", "$gt", "$gte"}) {
    for (const char* value : {"\"5\"", "null", "true", "{}", "[]"}) {
      EXPECT_FALSE(
          Matches(std::string(R"({"a":{")") + op + R"(":5}})", std::string(R"({"a":)") + value + "}"))
          << op << value;
    }
    EXPECT_FALSE(Matches(std::string(R"({"a":{")") + op + R"(":"5"}})", R"({"a":5})"));
    EXPECT_FALSE(Matches(std::string(R"({"a":{")") + op + R"(":5}})", "{}"));
  }
  EXPECT_TRUE(Matches(R"({"a":{"$ne":5}})", R"({"a":"5"})"));
}

TEST(FilterTest, InAndNinTakeAnyOfTheirValues) {
  EXPECT_TRUE(Matches(R"({"a":{"$in":[3,"x",{"b":1}]}})", R"({"a":{"b":1.0}})"));
  EXPECT_TRUE(Matches(R"({"a":{"$in":[3,"x"]}})", R"({"a":"x"})"));
  EXPECT_FALSE(Matches(R"({"a":{"$in":[]}})", R"({"a":1})"));
  EXPECT_FALSE(Matches(R"({"a":{"$nin":[3,"x"]}})", R"({"a":3})"));
  EXPECT_TRUE(Matches(R"({"a":{"$nin":[3,"x"]}})", R"({"a":4})"));
  EXPECT_TRUE(Matches(R"({"a":{"$nin":[3]}})", "{}"));
}

TEST(FilterTest, PathsLeadIntoObjects) {
  EXPECT_TRUE(Matches(R"({"a.b.c":1})", R"({"a":{"b":{"c":1}}})"));
  EXPECT_FALSE(Matches(R"({"a.b.c":1})", R"({"a":{"b":1}})"));
  EXPECT_TRUE(Matches(R"({"a.":1})", R"({"a":{"":1}})")) << "the empty name is a name";
}

TEST(FilterTest, AnyElementOfAnArrayMayMatch) {
  EXPECT_TRUE(Matches(R"({"a":2})", R"({"a":[1,2]})"));
  EXPECT_TRUE(Matches(R"({"a":[1,2]})", R"({"a":[1,2]})"));
  EXPECT_TRUE(Matches(R"({"a":[1,2]})", R"({"a":[[1,2],3]})"));
  EXPECT_FALSE(Matches(R"({"a":2})", R"({"a":[[2]]})")) << "not inside of elements";
  EXPECT_TRUE(Matches(R"({"a":{"$gt":5,"$lt":2}})", R"({"a":[1,9]})")) << "each operator for itself";
  EXPECT_FALSE(Matches(R"({"a":{"$ne":2}})", R"({"a":[1,2]})"));
  EXPECT_TRUE(Matches(R"({"a.b":2})", R"({"a":[{"b":1},7,{"b":2}]})"));
  EXPECT_FALSE(Matches(R"({"a.b":2})", R"({"a":[[{"b":2}]]})"));
}

TEST(FilterTest, ANumberInAPathIsAnArraysIndex) {
  EXPECT_TRUE(Matches(R"({"a.1":2})", R"({"a":[1,2]})"));
  EXPECT_FALSE(Matches(R"({"a.0":2})", R"({"a":[1,2]})"));
  EXPECT_FALSE(Matches(R"({"a.2":{"$exists":true}})", R"({"a":[1,2]})"));
  EXPECT_TRUE(Matches(R"({"a.1.b":3})", R"({"a":[1,{"b":3}]})"));
  EXPECT_TRUE(Matches(R"({"a.1":2})", R"({"a":{"1":2}})")) << "or a field's name";
  EXPECT_FALSE(Matches(R"({"a.99999999999999999999":2})", R"({"a":[1,2]})"));
}

TEST(FilterTest, AndOrNorAndNotCombineFilters) {
  EXPECT_TRUE(Matches(R"({"$and":[{"a":1},{"b":2}]})", R"({"a":1,"b":2})"));
  EXPECT_FALSE(Matches(R"({"$and":[{"a":1},{"b":2}]})", R"({"a":1})"));
  EXPECT_TRUE(Matches(R"({"$or":[{"a":1},{"b":2}]})", R"({"a":1})"));
  EXPECT_FALSE(Matches(R"({"$or":[{"a":1},{"b":2}]})", R"({"a":2})"));
  EXPECT_FALSE(Matches(R"({"$or":[{"a":1},{"b":2}],"c":3})", R"({"a":1})")) << "beside other conditions";
  EXPECT_TRUE(Matches(R"({"$nor":[{"a":1},{"b":2}]})", R"({"a":2})"));
  EXPECT_FALSE(Matches(R"({"$nor":[{"a":1},{"b":2}]})", R"({"b":2})"));
  EXPECT_FALSE(Matches(R"({"$not":{"a":1,"b":2}})", R"({"a":1,"b":2})"));
  EXPECT_TRUE(Matches(R"({"$not":{"a":1,"b":2}})", R"({"a":1})"));
  EXPECT_TRUE(Matches(R"({"a":{"$not":{"$gt":5}}})", R"({"a":"text"})"));
  EXPECT_TRUE(Matches(R"({"a":{"$not":{"$gt":5}}})", "{}"));
  EXPECT_FALSE(Matches(R"({"a":{"$not":{"$gt":5,"$lt":9}}})", R"({"a":6})"));
}

TEST(FilterTest, WhatIsWrongIsSaidWithItsPlace) {
  ExpectRefused("", "not JSON");
  ExpectRefused("{", "not JSON");
  ExpectRefused("[]", "not a JSON object");
  ExpectRefused(R"({"a":1,"a":2})", "twice");
  ExpectRefused("{\"a\":\"\xff\"}", "UTF-8");
  ExpectRefused(R"({"$where":"x"})", "at /$where: unknown operator");
  ExpectRefused(R"({"a":{"$regex":"x"}})", "at /a/$regex: unknown operator");
  ExpectRefused(R"({"a":{"$gt":1,"b":2}})", "at /a/b: unknown operator");
  ExpectRefused(R"({"$and":[]})", "at /$and: it needs a list of filters");
  ExpectRefused(R"({"$or":{"a":1}})", "at /$or: it needs a list of filters");
  ExpectRefused(R"({"$or":[{"a":1},{"b/c~":{"$in":3}}]})", "at /$or/1/b~1c~0/$in: it needs a list of values");
  ExpectRefused(R"({"$nor":[1]})", "at /$nor/0: it is not a JSON object");
  ExpectRefused(R"({"$not":[]})", "at /$not: it is not a JSON object");
  ExpectRefused(R"({"a":{"$exists":1}})", "at /a/$exists: it needs true or false");
  ExpectRefused(R"({"a":{"$not":{}}})", "at /a/$not: it needs operators");
  ExpectRefused(R"({"a":{"$not":{"b":1}}})", "at /a/$not/b: unknown operator");
  for (const char* op : {"$lt", "$lte", "$gt", "$gte"}) {
    for (const char* value : {"null", "true", "[]", "{}"}) {
      ExpectRefused(std::string(R"({"a":{")") + op + "\":" + value + "}}", "it needs a number or a string");
    }
  }
}

TEST(FilterTest, AMessageShowsNoControlCharactersAndABoundedPlace) {
  ExpectRefused("{\"a\\u001b\":{\"$x\":1}}", R"(at /a\u001b/$x)");
  const auto parsed = Filter::Parse("{\"" + std::string(5000, 'x') + "\":{\"$x\":1}}");
  EXPECT_LT(parsed.status().message().size(), 500u);
}

std::string Repeated(const std::string& text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(FilterTest, SizeDepthConditionsAndValuesAreBounded) {
  const auto nested = [](size_t depth) {
    return Repeated(R"({"$not":)", depth) + R"({"a":1})" + Repeated("}", depth);
  };
  EXPECT_TRUE(Filter::Parse(nested(kFilterDepthMax)).ok());
  ExpectRefused(nested(kFilterDepthMax + 1), "inside each other");
  ExpectRefused(nested(1000), "inside each other");
  ExpectRefused(Repeated(R"({"a":)", 70) + "1" + Repeated("}", 70), "inside each other");

  const auto conditions = [](size_t count) {
    return R"({"$or":[)" + Repeated(R"({"a":1},)", count - 1) + R"({"a":1}]})";
  };
  EXPECT_TRUE(Filter::Parse(conditions(kFilterConditionsMax)).ok());
  ExpectRefused(conditions(kFilterConditionsMax + 1), "conditions");

  const auto values = [](size_t count) { return R"({"a":{"$in":[)" + Repeated("1,", count - 1) + "1]}}"; };
  EXPECT_TRUE(Filter::Parse(values(kFilterValuesMax)).ok());
  ExpectRefused(values(kFilterValuesMax + 1), "values");

  ExpectRefused(R"({"a":")" + std::string(kFilterBytesMax, 'x') + "\"}", "bytes");
}

TEST(FilterTest, OtherBytesThanARowAreSafe) {
  const auto filter = Filter::Parse(R"({"a.b":{"$gt":1},"c":"x","d":{"$exists":false}})");
  ASSERT_TRUE(filter.ok());
  for (const char* bytes : {"", "{", "[", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":{\"b\":", "}{",
                            "{\"a\":}", "{\"a\":{\"b\":-}}", "\"\\", "{\"c\":\"\\u", "]]]]", "{,,,"}) {
    static_cast<void>(filter->Matches(bytes));
  }
}

}  // namespace
}  // namespace selvage::table
