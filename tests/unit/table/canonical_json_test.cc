#include "fabric/table/canonical_json.h"

#include <gmock/gmock.h>

#include <limits>

#include "fabric/base/error.h"

namespace selvage::table {
namespace {

std::string Canonical(std::string_view json) {
  const auto value = CanonicalJson::Parse(json);
  return value.ok() ? value->text() : "error: " + ErrorKind(value.status());
}

std::string Nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
}

TEST(CanonicalJsonTest, KeysAreSortedByTheirBytesAtEveryLevel) {
  EXPECT_EQ(Canonical(R"( {"b" : [ {"z":1, "a":{}} , [] ], "a":null, "é":true,"B":false} )"),
            R"({"B":false,"a":null,"b":[{"a":{},"z":1},[]],"é":true})");
  EXPECT_EQ(Canonical(R"({"\u0061b":1,"a":2,"":3})"), R"({"":3,"a":2,"ab":1})");
}

TEST(CanonicalJsonTest, StringsHaveOneForm) {
  EXPECT_EQ(Canonical(R"("\u00e9\/\u0041\ud83d\ude00")"), "\"é/A😀\"");
  EXPECT_EQ(Canonical(R"("\u0000\u001F\b\f\n\r\t\"\\")"), R"("\u0000\u001f\b\f\n\r\t\"\\")");
  EXPECT_EQ(Canonical("\"\x7f\""), "\"\x7f\"");
}

TEST(CanonicalJsonTest, NumbersHaveOneForm) {
  EXPECT_EQ(Canonical("1.0"), "1");
  EXPECT_EQ(Canonical("-0"), "0");
  EXPECT_EQ(Canonical("-0.0e5"), "0");
  EXPECT_EQ(Canonical("1e3"), "1000");
  EXPECT_EQ(Canonical("2.50"), "2.5");
  EXPECT_EQ(Canonical("0.1"), "0.1");
  EXPECT_EQ(Canonical("1E-7"), "1e-07");
  EXPECT_EQ(Canonical("1e22"), "1e+22");
  EXPECT_EQ(Canonical("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(Canonical("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(Canonical("9007199254740993"), "9007199254740993") << "an integer is held exactly";
  EXPECT_EQ(Canonical("1e18"), "1000000000000000000");
  EXPECT_EQ(Canonical("100000000000000000000"), "1e+20") << "beyond 64 bits, but a double is exactly it";
  EXPECT_EQ(Canonical("5e-324"), "5e-324");
  EXPECT_EQ(Canonical("1.7976931348623157e308"), "1.7976931348623157e+308");
  EXPECT_EQ(Canonical("0.30000000000000004"), "0.30000000000000004");
}

TEST(CanonicalJsonTest, NumbersThatNothingHoldsAreRefused) {
  for (const char* number : {"1e309", "-1e309", "1e-400", "0.0001e-400", "18446744073709551615",
                             "9223372036854775808123", "-9223372036854775809", "1e99999999999"}) {
    EXPECT_EQ(Canonical(number), "error: number_out_of_range") << number;
    EXPECT_EQ(Canonical(std::string("{\"a\":[") + number + "]}"), "error: number_out_of_range") << number;
  }
  EXPECT_EQ(Canonical("9223372036854775808"), "9223372036854775808") << "2^63 is a double";
  EXPECT_EQ(CanonicalJson::Parse("9223372036854775808")->number(), JsonNumber(0x1p63));
}

TEST(CanonicalJsonTest, WhatIsNotJsonIsRefused) {
  for (const char* text : {"",        " ",        "{",   "[1,]",        "{\"a\":1,}",
                           "{\"a\"}", "01",       "+1",  ".5",          "1.",
                           "NaN",     "Infinity", "'a'", "1 2",         "// c\n1",
                           "\"\\x\"", "\"\n\"",   "nul", "\"\\ud800\"", "\"\\udc00\\ud800\""}) {
    EXPECT_EQ(Canonical(text), "error: invalid_json") << text;
  }
  EXPECT_EQ(Canonical(std::string_view("1\0", 2)), "error: invalid_json");
}

TEST(CanonicalJsonTest, InvalidUtf8IsRefused) {
  for (const char* bytes : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\xf4\x90\x80\x80"}) {
    EXPECT_EQ(Canonical(std::string("\"") + bytes + "\""), "error: invalid_utf8");
    EXPECT_EQ(Canonical(std::string("{\"") + bytes + "\":1}"), "error: invalid_utf8");
    EXPECT_FALSE(IsValidUtf8(bytes));
  }
  EXPECT_TRUE(IsValidUtf8("aé€😀"));
}

TEST(CanonicalJsonTest, TextsOfAnySizeAreReadToTheirEnd) {
  for (size_t before = 0; before < 20; ++before) {
    for (size_t behind = 0; behind < 20; ++behind) {
      const std::string front(before, 'x');
      const std::string back(behind, 'y');
      EXPECT_TRUE(IsValidUtf8(front + "é" + back));
      EXPECT_FALSE(IsValidUtf8(front + "\xff" + back));
      EXPECT_FALSE(IsValidUtf8(front + back + "\xc3"));
      const std::string escaped = '"' + front + "\\n\\u0001" + back + "\\\"\"";
      EXPECT_EQ(Canonical(escaped), escaped);
      std::string written;
      AppendJsonString(written, front + "\n\1" + back + '"');
      EXPECT_EQ(written, escaped);
    }
  }
}

TEST(CanonicalJsonTest, DuplicateFieldsAreRefusedAtEveryLevel) {
  EXPECT_EQ(Canonical(R"({"a":1,"b":2,"a":1})"), "error: duplicate_field");
  EXPECT_EQ(Canonical(R"([{"x":{"a":1,"\u0061":2}}])"), "error: duplicate_field");
}

TEST(CanonicalJsonTest, DepthIsBounded) {
  EXPECT_EQ(Canonical(Nested(63)), Nested(63));
  EXPECT_EQ(Canonical(Nested(64)), "error: too_deep");
  EXPECT_EQ(Canonical(std::string(1'000'000, '[')), "error: too_deep");
  EXPECT_TRUE(ParseFields("{\"a\":" + Nested(63) + "}").ok()) << "the row is one of 64";
  EXPECT_EQ(ErrorKind(ParseFields("{\"a\":" + Nested(64) + "}").status()), "too_deep");
}

TEST(CanonicalJsonTest, CanonicalBytesAreTakenAsTheyAreAndOthersNot) {
  EXPECT_TRUE(CanonicalJson::FromBytes(R"({"a":[1,2.5,"é"]})").ok());
  for (const char* text : {"1.0", " 1", R"({"b":1,"a":2})", R"("\u0041")", "1E3", "[1, 2]"}) {
    EXPECT_EQ(ErrorKind(CanonicalJson::FromBytes(text).status()), "not_canonical") << text;
  }
  EXPECT_EQ(ErrorKind(CanonicalJson::FromBytes("{").status()), "invalid_json");
}

TEST(CanonicalJsonTest, FieldsOfARow) {
  const auto fields = ParseFields(R"({"unit":"bar","p":{"b":2.0,"a":[ ]},"":7})");
  ASSERT_TRUE(fields.ok());
  ASSERT_EQ(fields->size(), 3u);
  EXPECT_EQ(fields->at("").text(), "7");
  EXPECT_EQ(fields->at("p").text(), R"({"a":[],"b":2})");
  EXPECT_EQ(fields->at("unit").text(), "\"bar\"");
  EXPECT_TRUE(ParseFields("{}")->empty());
  for (const char* text : {"[]", "1", "null", "\"a\"", "[{}]"}) {
    EXPECT_EQ(ErrorKind(ParseFields(text).status()), "not_an_object") << text;
  }
}

TEST(CanonicalJsonTest, NumberOfAValue) {
  EXPECT_EQ(CanonicalJson::Parse("7.0")->number(), JsonNumber(int64_t{7}));
  EXPECT_EQ(CanonicalJson::Parse("-7.5")->number(), JsonNumber(-7.5));
  for (const char* text : {"\"7\"", "null", "[7]", "true", "{}"}) {
    EXPECT_EQ(CanonicalJson::Parse(text)->number(), std::nullopt) << text;
  }
}

TEST(JsonNumberTest, IntegersAreAddedExactly) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(Sum({}), JsonNumber(int64_t{0}));
  EXPECT_EQ(Sum({kMax, kMax, -kMax}), JsonNumber(kMax)) << "the sum counts, not its steps";
  EXPECT_EQ(Sum({kMax, int64_t{1}}), JsonNumber(0x1p63)) << "the nearest double";
  EXPECT_EQ(Sum({0.5, int64_t{2}, 0.5}), JsonNumber(int64_t{3}));
}

TEST(JsonNumberTest, SumStaysANumber) {
  constexpr double kMax = std::numeric_limits<double>::max();
  EXPECT_EQ(Sum({kMax, kMax}), JsonNumber(kMax));
  EXPECT_EQ(Sum({-kMax, -kMax, int64_t{-1}}), JsonNumber(-kMax));
  EXPECT_EQ(NumberOf(-0.0), JsonNumber(int64_t{0}));
}

}  // namespace
}  // namespace selvage::table
