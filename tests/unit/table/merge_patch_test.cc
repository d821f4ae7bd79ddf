#include "fabric/table/merge_patch.h"

#include <gmock/gmock.h>

#include "fabric/base/error.h"
#include "fabric/table/merge.h"
#include "tests/support/row_samples.h"

namespace selvage::table {
namespace {

constexpr int64_t kNowMs = 1'700'000'000'000;

using samples::At;

Row RowOf(std::string_view json, std::optional<int64_t> expires_at_ms = {}) {
  Row row;
  Merge(row, Put({}, *ParseFields(json), expires_at_ms, At(1, 1)), {});
  return row;
}

/// The row after the patch, or the kind of the error.
std::string Patched(Row row, std::string_view patch) {
  const auto update = UpdateOfMergePatch(row, patch, kNowMs);
  if (!update.ok()) return "error: " + ErrorKind(update.status());
  EXPECT_TRUE(update->increment.empty());
  const auto change = MakeUpdate(row, *update, At(2, 1), FeedEpoch());
  EXPECT_TRUE(change.ok()) << change.status();
  Merge(row, *change, {});
  return VisibleJson(row, kNowMs).value_or("not there");
}
std::string Patched(std::string_view json, std::string_view patch) {
  return Patched(RowOf(json), patch);
}

TEST(MergePatchTest, TheExamplesOfRfc7396) {
  struct Example {
    const char* original;
    const char* patch;
    const char* result;
  };
  // Appendix A, as far as both are objects. Results in canonical form.
  const Example examples[] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", "{}"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"({"e":null})", R"({"a":1})", R"({"a":1,"e":null})"},
      {"{}", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
      // Section 3.
      {R"({"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],
           "content":"This will be unchanged"})",
       R"({"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]})",
       R"({"author":{"givenName":"John"},"content":"This will be unchanged","phoneNumber":"+01-123-456-7890",)"
       R"("tags":["example"],"title":"Hello!"})"},
  };
  for (const Example& example : examples) {
    EXPECT_EQ(Patched(example.original, example.patch), example.result) << example.patch;
  }
}

TEST(MergePatchTest, APatchThatIsNoObjectIsRefused) {
  for (const char* patch : {R"(["c"])", "null", "\"bar\"", "1"}) {
    EXPECT_EQ(Patched(R"({"a":"foo"})", patch), "error: not_an_object") << patch;
  }
  EXPECT_EQ(Patched("{}", "{"), "error: invalid_json");
  EXPECT_EQ(Patched("{}", "{\"a\":\"\xff\"}"), "error: invalid_utf8");
  EXPECT_EQ(Patched("{}", R"({"a":{"b":1,"b":2}})"), "error: duplicate_field");
  EXPECT_EQ(Patched("{}", R"({"a":1e999})"), "error: number_out_of_range");
}

TEST(MergePatchTest, NamesAreMatchedByWhatTheyStandFor) {
  EXPECT_EQ(Patched(R"({"o":{"!":1,"\n":2,"\"":3,"a":4}})", R"({"o":{"\u000a":null,"\u0022":9,"#":5}})"),
            R"({"o":{"!":1,"\"":9,"#":5,"a":4}})");
}

TEST(MergePatchTest, NullsInsideArraysStay) {
  EXPECT_EQ(Patched("{}", R"({"a":[null,{"b":null}]})"), R"({"a":[null,{"b":null}]})");
}

TEST(MergePatchTest, OnlyNamedFieldsAreWritten) {
  const auto update =
      UpdateOfMergePatch(RowOf(R"({"a":{"x":1},"b":2,"c":3})"), R"({"a":{"y":2},"c":null})", kNowMs);
  ASSERT_TRUE(update.ok());
  ASSERT_EQ(update->set.size(), 1u);
  EXPECT_EQ(update->set.begin()->first, "a");
  EXPECT_EQ(update->set.begin()->second.text(), R"({"x":1,"y":2})");
  EXPECT_EQ(update->unset, std::set<std::string>{"c"});
  EXPECT_FALSE(update->expiry);
}

TEST(MergePatchTest, AnExpiredRowHasNothingToMergeInto) {
  const Row row = RowOf(R"({"a":{"x":1}})", kNowMs);
  const auto update = UpdateOfMergePatch(row, R"({"a":{"y":2}})", kNowMs);
  ASSERT_TRUE(update.ok());
  EXPECT_EQ(update->set.begin()->second.text(), R"({"y":2})");
}

TEST(MergePatchTest, TheResultIsNoDeeperThanARowMayBe) {
  const auto nested = [](int depth) {
    std::string json;
    for (int i = 0; i < depth; ++i) json += R"({"a":)";
    return json + "1" + std::string(static_cast<size_t>(depth), '}');
  };
  EXPECT_EQ(Patched(nested(kMaxJsonDepth), nested(kMaxJsonDepth)), nested(kMaxJsonDepth));
  EXPECT_EQ(Patched("{}", nested(kMaxJsonDepth + 1)), "error: too_deep");
}

}  // namespace
}  // namespace selvage::table
