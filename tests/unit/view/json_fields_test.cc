#include "fabric/view/json_fields.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace selvage::view {
namespace {

using Outcome = JsonFields::Outcome;

/// What a path leads to, as a test reads it.
std::string Shown(const FieldValue& value) {
  switch (value.kind) {
    case FieldKind::kAbsent:
      return "absent";
    case FieldKind::kNumber:
      return table::CanonicalNumber(value.number);
    case FieldKind::kOutOfRange:
      return "out of range";
    case FieldKind::kText: {
      std::string text;
      table::AppendJsonString(text, value.text);
      return text;
    }
    case FieldKind::kBoolean:
      return value.boolean ? "true" : "false";
    case FieldKind::kComposite:
      return "composite";
  }
  return "?";
}

std::string FieldOf(const std::string& path, std::string_view json) {
  JsonFields fields({path});
  switch (fields.Read(json)) {
    case Outcome::kRead:
      return Shown(fields.value(0));
    case Outcome::kNotJson:
      return "not JSON";
    case Outcome::kNotAnObject:
      return "not an object";
  }
  return "?";
}

TEST(JsonFieldsTest, EachKindOfValue) {
  EXPECT_EQ(FieldOf("a", R"({"a":7})"), "7");
  EXPECT_EQ(FieldOf("a", R"({"a":-2.50e1})"), "-25") << "one form for each number";
  EXPECT_EQ(FieldOf("a", R"({"a":2.5})"), "2.5");
  EXPECT_EQ(FieldOf("a", R"({"a":"x"})"), "\"x\"");
  EXPECT_EQ(FieldOf("a", R"({"a":""})"), "\"\"");
  EXPECT_EQ(FieldOf("a", R"({"a":true})"), "true");
  EXPECT_EQ(FieldOf("a", R"({"a":false})"), "false");
  EXPECT_EQ(FieldOf("a", R"({"a":null})"), "absent");
  EXPECT_EQ(FieldOf("a", R"({"a":{"b":1}})"), "composite");
  EXPECT_EQ(FieldOf("a", R"({"a":[1]})"), "composite");
  EXPECT_EQ(FieldOf("a", R"({"b":1})"), "absent");
  EXPECT_EQ(FieldOf("a", "{}"), "absent");
}

TEST(JsonFieldsTest, NumbersAreExactOrOutOfRange) {
  EXPECT_EQ(FieldOf("a", R"({"a":9223372036854775807})"), "9223372036854775807");
  EXPECT_EQ(FieldOf("a", R"({"a":-9223372036854775808})"), "-9223372036854775808");
  EXPECT_EQ(FieldOf("a", R"({"a":9223372036854775808})"), "9223372036854775808") << "2^63 is a double";
  EXPECT_EQ(FieldOf("a", R"({"a":9223372036854775809})"), "out of range");
  EXPECT_EQ(FieldOf("a", R"({"a":18446744073709551616})"), "18446744073709551616");
  EXPECT_EQ(FieldOf("a", R"({"a":1e400})"), "out of range");
  EXPECT_EQ(FieldOf("a", R"({"a":1e-400})"), "out of range");
  EXPECT_EQ(FieldOf("a", R"({"a":0e400})"), "0");
  EXPECT_EQ(FieldOf("a", R"({"a":-0})"), "0");
  EXPECT_EQ(FieldOf("a", R"({"a":-0.0})"), "0");
  EXPECT_EQ(FieldOf("a", R"({"a":0.1e1})"), "1");
  EXPECT_EQ(FieldOf("a", R"({"a":74.93588199999998})"), "74.93588199999998") << "the nearest double";
  EXPECT_EQ(FieldOf("b", R"({"a":1e400,"b":1})"), "1") << "nobody wants it";
}

TEST(JsonFieldsTest, PathsLeadThroughObjectsOnly) {
  EXPECT_EQ(FieldOf("a.b.c", R"({"a":{"b":{"c":1}}})"), "1");
  EXPECT_EQ(FieldOf("a.b", R"({"a":{"c":{"b":2},"b":1}})"), "1");
  EXPECT_EQ(FieldOf("a.b", R"({"b":1,"a":2})"), "absent");
  EXPECT_EQ(FieldOf("a.b", R"({"a.b":1})"), "absent");
  EXPECT_EQ(FieldOf("a.b", R"({"a":[{"b":1}]})"), "absent");
  EXPECT_EQ(FieldOf("a.0", R"({"a":[1]})"), "absent");
  EXPECT_EQ(FieldOf("a.0", R"({"a":{"0":1}})"), "1");
  EXPECT_EQ(FieldOf("a", R"({"b":{"a":1},"c":[{"a":2}]})"), "absent") << "the same name elsewhere";
  EXPECT_EQ(FieldOf("b", R"({"a":[1,{"b":1},[2]],"b":3})"), "3");
}

TEST(JsonFieldsTest, SeveralPathsAreReadInOnePass) {
  JsonFields fields({"bar", "site.id", "site", "bar", "site.name", "none"});
  const std::string record = R"({"site":{"name":"plant \u00e9","id":7,"x":[1]},"bar":2.5})";
  ASSERT_EQ(fields.Read(record), Outcome::kRead);
  EXPECT_EQ(Shown(fields.value(0)), "2.5");
  EXPECT_EQ(Shown(fields.value(1)), "7");
  EXPECT_EQ(Shown(fields.value(2)), "composite");
  EXPECT_EQ(Shown(fields.value(3)), "2.5") << "wanted twice";
  EXPECT_EQ(Shown(fields.value(4)), "\"plant \u00e9\"");
  EXPECT_EQ(Shown(fields.value(5)), "absent");
}

TEST(JsonFieldsTest, EachRecordBeginsAnew) {
  JsonFields fields({"a", "b.c"});
  ASSERT_EQ(fields.Read(R"({"a":"x\ny","b":{"c":2}})"), Outcome::kRead);
  EXPECT_EQ(Shown(fields.value(0)), R"("x\ny")");
  for (const std::string broken : {R"({"a":"x\nz)", R"({"b":{"c":1,"\u0061)", R"({"a":[[[)", R"({"a":12)"}) {
    EXPECT_EQ(fields.Read(broken), Outcome::kNotJson) << broken;
    EXPECT_NE(fields.Wrong(), "");
    ASSERT_EQ(fields.Read(R"({"b":{"c":3}})"), Outcome::kRead) << "after " << broken;
    EXPECT_EQ(Shown(fields.value(0)), "absent");
    EXPECT_EQ(Shown(fields.value(1)), "3");
  }
  EXPECT_EQ(fields.Read("[{\"a\":1}]"), Outcome::kNotAnObject);
  ASSERT_EQ(fields.Read("{}"), Outcome::kRead);
  EXPECT_EQ(Shown(fields.value(1)), "absent");
}

TEST(JsonFieldsTest, TextsAndNamesAreUnescaped) {
  EXPECT_EQ(FieldOf("a", R"({"\u0061":"\u0041\"\\\/\b\f\n\r\t"})"), R"("A\"\\/\b\f\n\r\t")");
  EXPECT_EQ(FieldOf("a", R"({"a":"\ud83d\ude00"})"), "\"\U0001F600\"");
  EXPECT_EQ(FieldOf("\n", R"({"\n":1})"), "1");
  // Longer than what the parser unescapes at once.
  const std::string text(5000, 'x');
  EXPECT_EQ(FieldOf("a", R"({"a":"\t)" + text + R"(\t"})"), R"("\t)" + text + R"(\t")");
  EXPECT_EQ(FieldOf(text + "\t", R"({")" + text + R"(\t":1})"), "1");
}

TEST(JsonFieldsTest, OfANameThatIsThereTwiceTheLastCounts) {
  EXPECT_EQ(FieldOf("a", R"({"a":1,"b":0,"a":2})"), "2");
  EXPECT_EQ(FieldOf("a", R"({"a":1,"a":null})"), "absent");
  EXPECT_EQ(FieldOf("a.b", R"({"a":{"b":1},"a":{"c":1}})"), "absent") << "the first a is not there any more";
  EXPECT_EQ(FieldOf("a.b", R"({"a":{"b":1},"a":7})"), "absent");
  EXPECT_EQ(FieldOf("a.b", R"({"a":7,"a":{"b":1}})"), "1");
}

TEST(JsonFieldsTest, WhatIsNotJsonIsSaidSo) {
  for (const std::string_view text : {"",
                                      " ",
                                      "{",
                                      "}",
                                      R"({"a":1)",
                                      R"({"a":1}})",
                                      R"({"a":1} x)",
                                      R"({"a":1}{"a":1})",
                                      R"({a:1})",
                                      R"({"a":01})",
                                      R"({"a":1.})",
                                      R"({"a":.5})",
                                      R"({"a":+1})",
                                      R"({"a":1e})",
                                      R"({"a":NaN})",
                                      R"({"a":Infinity})",
                                      R"({"a":tru})",
                                      R"({"a" 1})",
                                      R"({"a":1,})",
                                      R"({"a":[1,]})",
                                      R"({"a":'1'})",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":\"\xc3\"}",
                                      "{\"\xed\xa0\x80\":1}",
                                      R"({"a":"\ud800"})",
                                      R"({"a":"\x"})",
                                      R"(// c
        {"a":1})"}) {
    EXPECT_EQ(FieldOf("a", text), "not JSON") << text;
  }
  EXPECT_EQ(FieldOf("a", std::string_view("{\"a\":1\0}", 8)), "not JSON");
}

TEST(JsonFieldsTest, OtherJsonIsNoObject) {
  for (const std::string_view text : {"1", "\"a\"", "null", "true", "[]", R"([{"a":1}])", "-0.5 "}) {
    EXPECT_EQ(FieldOf("a", text), "not an object") << text;
  }
}

TEST(JsonFieldsTest, WhiteSpaceIsAllowedWhereJsonAllowsIt) {
  EXPECT_EQ(FieldOf("a", " \t\r\n{ \"a\" :\n1 , \"b\" : [ ] } \n"), "1");
}

TEST(JsonFieldsTest, DepthIsBounded) {
  const auto nested = [](int depth) {
    std::string json = R"({"a":)";
    for (int i = 1; i < depth; ++i) json += '[';
    for (int i = 1; i < depth; ++i) json += ']';
    return json + '}';
  };
  EXPECT_EQ(FieldOf("a", nested(table::kMaxJsonDepth)), "composite");
  EXPECT_EQ(FieldOf("a", nested(table::kMaxJsonDepth + 1)), "not JSON");
  EXPECT_EQ(FieldOf("a", nested(100'000)), "not JSON");
}

TEST(JsonFieldsTest, WithoutPathsItSaysWhatItIs) {
  JsonFields fields({});
  EXPECT_EQ(fields.Read(R"({"a":{"b":1}})"), Outcome::kRead);
  EXPECT_EQ(fields.Read("1"), Outcome::kNotAnObject);
  EXPECT_EQ(fields.Read("{"), Outcome::kNotJson);
}

TEST(JsonFieldsTest, CanBeMoved) {
  JsonFields from({"a"});
  ASSERT_EQ(from.Read(R"({"a":1})"), Outcome::kRead);
  JsonFields to = std::move(from);
  EXPECT_EQ(Shown(to.value(0)), "1");
}

}  // namespace
}  // namespace selvage::view
