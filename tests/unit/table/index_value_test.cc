#include "fabric/table/index_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fabric/table/canonical_json.h"
#include "fabric/table/canonical_reader.h"
#include "tests/support/row_samples.h"
#include "tests/support/seeded_random.h"

namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string ValueOfJson(std::string_view json) {
  return IndexValue(CanonicalJson::Parse(json).value().text());
}

std::string NumberBytes(const JsonNumber& number) {
  return IndexValue(CanonicalNumber(number));
}

std::string At(std::string_view row, std::string_view path) {
  return IndexValueAt(CanonicalJson::Parse(row).value().text(), FieldPath::Parse(path));
}

TEST(IndexValueTest, TypesComeInOneOrder) {
  const std::vector<std::string> ascending = {
      "null",         "false",   "true",   "-1e300", "-1",          "-0.5",   "0",
      "0.5",          "1",       "1e300",  R"("")",  R"("\u0000")", R"("a")", R"("a\u0000")",
      R"("a\u0001")", R"("aa")", R"("b")", R"("é")", "[]"};
  for (size_t i = 1; i < ascending.size(); ++i) {
    EXPECT_LT(ValueOfJson(ascending[i - 1]), ValueOfJson(ascending[i])) << ascending[i];
  }
  EXPECT_EQ(ValueOfJson("[]"), ValueOfJson(R"({"a":1})")) << "what has no one place is alike";
  EXPECT_EQ(ValueOfJson("1"), ValueOfJson("1.0"));
  EXPECT_EQ(ValueOfJson("0"), ValueOfJson("-0.0"));
}

/// Numbers near which integers and doubles meet, and others.
std::vector<JsonNumber> Numbers(test::SeededRandom& random) {
  std::vector<JsonNumber> numbers;
  const auto add = [&](double value) { numbers.push_back(NumberOf(value)); };
  for (const double edge : {0.0, 0x1p52, 0x1p53, 0x1p54, 0x1p62, 0x1p63, 0x1p64, 1e308}) {
    for (const double sign : {1.0, -1.0}) {
      const double value = sign * edge;
      add(value);
      add(std::nextafter(value, 2 * std::numeric_limits<double>::max()));
      add(std::nextafter(value, -std::numeric_limits<double>::max()));
      if (edge >= 0x1p63) continue;
      for (int64_t by = -1026; by <= 1026; by += 57) numbers.push_back(static_cast<int64_t>(value) + by);
      for (int64_t by = -3; by <= 3; ++by) numbers.push_back(static_cast<int64_t>(value) + by);
    }
  }
  for (int64_t by = 0; by < 1030; by += 3) {
    numbers.push_back(INT64_MAX - by);
    numbers.push_back(INT64_MIN + by);
  }
  add(std::numeric_limits<double>::denorm_min());
  add(-std::numeric_limits<double>::denorm_min());
  for (int i = 0; i < 500; ++i) {
    numbers.push_back(static_cast<int64_t>(random.Below(UINT64_MAX)));
    add(static_cast<double>(random.Between(0, 2000)) / 7 - 100);
  }
  return numbers;
}

TEST(IndexValueTest, NumbersAreOrderedExactly) {
  test::SeededRandom random(5);
  const std::vector<JsonNumber> numbers = Numbers(random);
  for (const JsonNumber& a : numbers) {
    const std::string a_bytes = NumberBytes(a);
    for (const JsonNumber& b : numbers) {
      ASSERT_EQ(a_bytes <=> NumberBytes(b), Compare(a, b))
          << CanonicalNumber(a) << " and " << CanonicalNumber(b);
    }
  }
}

TEST(IndexValueTest, TextsAreOrderedByTheirFirstBytes) {
  test::SeededRandom random(6);
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (uint64_t left = random.Below(6); left > 0; --left) {
      text += std::string(1,
                          "\0\x01\x02"
                          "a\x7f"[random.Below(5)]);
    }
    if (random.OneIn(4)) text.insert(0, std::string(kIndexedTextMax - random.Below(4), 'x'));
    texts.push_back(std::move(text));
  }
  const auto bytes = [](const std::string& text) {
    std::string canonical;
    AppendJsonString(canonical, text);
    return IndexValue(canonical);
  };
  for (const std::string& a : texts) {
    for (const std::string& b : texts) {
      const auto expected = a.substr(0, kIndexedTextMax) <=> b.substr(0, kIndexedTextMax);
      ASSERT_EQ(bytes(a) <=> bytes(b), expected);
    }
  }
}

TEST(IndexValueTest, NoValueBeginsAnother) {
  const std::vector<std::string> jsons = {"null",  "true",   "false",         "1", "2.5",
                                          R"("")", R"("a")", R"("a\u0000b")", "[]"};
  for (const std::string& json : jsons) {
    const std::string value = ValueOfJson(json);
    for (const std::string& other : jsons) {
      EXPECT_EQ(ValueOfJson(other).starts_with(value), other == json) << json << ' ' << other;
    }
    EXPECT_EQ(IndexValueSize(value + "key"), value.size()) << json;
    EXPECT_EQ(IndexValueSize(value), value.size()) << json;
    for (size_t size = 0; size < value.size(); ++size) {
      EXPECT_EQ(IndexValueSize(value.substr(0, size)), std::nullopt) << json << ' ' << size;
    }
  }
  EXPECT_EQ(IndexValueSize("\x07"), std::nullopt);
}

TEST(IndexValueTest, PathsLeadThroughObjects) {
  EXPECT_EQ(At(R"({"a":{"b":7}})", "a.b"), ValueOfJson("7"));
  EXPECT_EQ(At(R"({"a":{"0":7}})", "a.0"), ValueOfJson("7"));
  EXPECT_EQ(At(R"({"a":{"b":7}})", "a"), ValueOfJson("{}"));
  for (const char* row : {"{}", R"({"a":1})", R"({"a":{"c":1}})", R"({"a":{"b":null}})", R"({"a":null})"}) {
    EXPECT_EQ(At(row, "a.b"), ValueOfJson("null")) << row;
  }
  for (const char* row : {R"({"a":[{"b":7}]})", R"({"a":[]})", R"({"a":{"b":[7]}})", R"({"a":{"b":{}}})"}) {
    EXPECT_EQ(At(row, "a.b"), ValueOfJson("[]")) << row;
  }
  EXPECT_EQ(At(R"({"a":[7]})", "a.0"), ValueOfJson("[]")) << "an element of an array has no one place";
}

TEST(IndexValueTest, ARowStandsUnderWhatItIsNowAndWhatAnExpiryLeaves) {
  const FieldPath path = FieldPath::Parse("a.b");
  Row row;
  EXPECT_THAT(IndexValuesOf(row, path), IsEmpty());
  row.clear = Clear{ClearKind::kPut, {samples::At(10, 1)}};
  EXPECT_THAT(IndexValuesOf(row, path), ElementsAre(ValueOfJson("null")));
  row.fields["a"].set = Register{samples::Json(R"({"b":5})"), {samples::At(10, 1)}};
  EXPECT_THAT(IndexValuesOf(row, path), ElementsAre(ValueOfJson("5")));
  row.expiry = Expiry{100, {samples::At(10, 1)}};
  EXPECT_THAT(IndexValuesOf(row, path), ElementsAre(ValueOfJson("5"))) << "nothing is left of it then";
  row.fields["c"].set = Register{samples::Json("1"), {samples::At(200, 1)}};
  EXPECT_THAT(IndexValuesOf(row, path), ElementsAre(ValueOfJson("null"), ValueOfJson("5")))
      << "a field that was written later stays";
  row.fields["a"].set->write.stamp = samples::At(200, 1);
  EXPECT_THAT(IndexValuesOf(row, path), ElementsAre(ValueOfJson("5")));
  row = Row();
  row.clear = Clear{ClearKind::kDelete, {samples::At(10, 1)}};
  EXPECT_THAT(IndexValuesOf(row, path), IsEmpty()) << "a tombstone";
}

TEST(IndexValueTest, ARowAndItsJsonHaveOneValue) {
  const Row row = samples::RowOfAllParts();
  for (const char* text : {"a", "b", "b.u", "n", "none", "n.x"}) {
    const FieldPath path = FieldPath::Parse(text);
    for (const int64_t now_ms : {INT64_MIN, int64_t{0}, INT64_MAX}) {
      const auto json = VisibleJson(row, now_ms);
      if (!json) continue;
      const std::vector<std::string> values = IndexValuesOf(row, path);
      EXPECT_THAT(values, ::testing::Contains(IndexValueAt(*json, path))) << text << ' ' << now_ms;
    }
  }
}

}  // namespace
}  // namespace selvage::table
