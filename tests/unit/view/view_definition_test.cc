#include "fabric/view/view_definition.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>

#include "fabric/base/error.h"
#include "tests/unit/view/samples.h"

namespace selvage::view {
namespace {

using samples::Aggregate;
using ::testing::HasSubstr;

using Change = std::function<void(v1::ViewDefinition&)>;

/// Refused, and the message says where and what.
void ExpectRefused(const Change& change, std::string_view message) {
  v1::ViewDefinition definition = samples::Hourly();
  change(definition);
  const auto completed = CompleteDefinition(definition);
  ASSERT_FALSE(completed.ok()) << message;
  EXPECT_EQ(completed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorKind(completed.status()), "invalid_view");
  EXPECT_THAT(std::string(completed.status().message()), HasSubstr(message));
  EXPECT_FALSE(ErrorHint(completed.status()).empty());
}

TEST(ViewDefinitionTest, NamesThatAreLeftOpenAreFilledIn) {
  const auto completed = CompleteDefinition(Aggregate(
      {"$key", "site.id"}, {{v1::VIEW_COUNT, ""}, {v1::VIEW_MEAN, "bar"}, {v1::VIEW_DISTINCT, "a.b"}}));
  ASSERT_TRUE(completed.ok()) << completed.status();
  EXPECT_EQ(completed->aggregate().group_by(0).name(), "key");
  EXPECT_EQ(completed->aggregate().group_by(1).name(), "site_id");
  EXPECT_EQ(completed->aggregate().columns(0).name(), "count");
  EXPECT_EQ(completed->aggregate().columns(1).name(), "mean_bar");
  EXPECT_EQ(completed->aggregate().columns(2).name(), "distinct_a_b");
}

TEST(ViewDefinitionTest, CompletingACompleteDefinitionChangesNothing) {
  const auto once = CompleteDefinition(samples::Hourly());
  ASSERT_TRUE(once.ok()) << once.status();
  EXPECT_EQ(CompleteDefinition(*once)->SerializeAsString(), once->SerializeAsString());
}

TEST(ViewDefinitionTest, AViewOfNewestRecordsNeedsNames) {
  EXPECT_TRUE(CompleteDefinition(samples::NewestPerKey()).ok());
  ExpectRefused([](auto& d) { d.set_name("no spaces"); }, "'no spaces' is not a view name");
  // There must be room for the name of the table in which it is built anew.
  ExpectRefused([](auto& d) { d.set_name(std::string(kViewNameMax + 1, 'v')); }, "is not a view name");
  ExpectRefused([](auto& d) { d.set_stream(""); }, "view hourly, stream: '' is not a stream name");
}

TEST(ViewDefinitionTest, OfAnUnknownKindItIsRefused) {
  ExpectRefused([](auto& d) { d.clear_aggregate(); }, "view hourly, kind");
}

TEST(ViewDefinitionTest, WindowsAndTheirTimesAreBounded) {
  ExpectRefused([](auto& d) { d.mutable_aggregate()->set_window_ms(999); }, "window_ms: 999 ms is too short");
  ExpectRefused([](auto& d) { d.mutable_aggregate()->set_window_ms(-1); }, "window_ms: -1 is negative");
  ExpectRefused([](auto& d) { d.mutable_aggregate()->set_window_ms(kViewTimeMsMax + 1); }, "window_ms");
  ExpectRefused([](auto& d) { d.mutable_aggregate()->set_window_ms(0); }, "lateness_ms: there is no window");
  ExpectRefused([](auto& d) { d.mutable_aggregate()->set_lateness_ms(-5); }, "lateness_ms: -5 is negative");
  ExpectRefused([](auto& d) { d.mutable_aggregate()->set_keep_ms(1); },
                "keep_ms: windows would go while they still take late records");
}

TEST(ViewDefinitionTest, GroupsAreBounded) {
  ExpectRefused(
      [](auto& d) {
        d.mutable_aggregate()->clear_group_by();
        d.mutable_aggregate()->clear_window_ms();
        d.mutable_aggregate()->clear_lateness_ms();
        d.mutable_aggregate()->clear_keep_ms();
      },
      "group_by: it is empty, and there is no window");
  ExpectRefused(
      [](auto& d) {
        for (size_t i = 0; i <= kGroupFieldsMax; ++i) {
          d.mutable_aggregate()->add_group_by()->set_path("f" + std::to_string(i));
        }
      },
      "group_by: it names 18 fields");
  EXPECT_TRUE(CompleteDefinition([] {
                auto definition = samples::Hourly();
                definition.mutable_aggregate()->clear_group_by();
                return definition;
              }())
                  .ok())
      << "a window is a group";
}

TEST(ViewDefinitionTest, ColumnsAreBoundedAndKnown) {
  const auto column = [](v1::ViewDefinition& d) -> v1::ViewColumn& {
    return *d.mutable_aggregate()->mutable_columns(1);
  };
  ExpectRefused([](auto& d) { d.mutable_aggregate()->clear_columns(); }, "columns: there is none");
  ExpectRefused(
      [](auto& d) {
        while (d.aggregate().columns_size() <= static_cast<int>(kColumnsMax)) {
          d.mutable_aggregate()->add_columns()->set_function(v1::VIEW_COUNT);
        }
      },
      "columns: there are 65");
  ExpectRefused([&](auto& d) { column(d).clear_function(); }, "column 2: unknown function 0");
  ExpectRefused([&](auto& d) { column(d).set_function(static_cast<v1::ViewFunction>(77)); },
                "column 2: unknown function 77");
  ExpectRefused([&](auto& d) { column(d).clear_path(); }, "column 2 (mean): it names no field");
  ExpectRefused([&](auto& d) { column(d).set_path("$key"); }, "column 2 (mean): a record's key is text");
}

TEST(ViewDefinitionTest, PathsAreBounded) {
  const auto path = [](const std::string& text) -> Change {
    return [text](v1::ViewDefinition& d) { d.mutable_aggregate()->mutable_columns(1)->set_path(text); };
  };
  std::string deep = "a";
  for (size_t i = 1; i < kPathDepthMax; ++i) deep += ".a";
  v1::ViewDefinition definition = samples::Hourly();
  path(deep)(definition);
  EXPECT_TRUE(CompleteDefinition(definition).ok());
  ExpectRefused(path(deep + ".a"), "column 2 (mean): a path of 17 names");
  for (const std::string wrong : {".", "a.", ".a", "a..b"}) {
    ExpectRefused(path(wrong), "an empty name in the path '" + wrong + "'");
  }
  ExpectRefused(path("$value"), "column 2 (mean): unknown path $value");
  ExpectRefused(path("\xff"), "its path is not valid UTF-8");
  ExpectRefused(path(std::string(kPathBytesMax + 1, 'a')), "its path has 1025 bytes");
  ExpectRefused([](auto& d) { d.mutable_aggregate()->mutable_group_by(0)->set_path(""); },
                "group_by 1: an empty name in the path ''");
}

TEST(ViewDefinitionTest, EachFieldOfTheRowsHasItsOwnName) {
  const auto name = [](const std::string& text) -> Change {
    return [text](v1::ViewDefinition& d) { d.mutable_aggregate()->mutable_columns(1)->set_name(text); };
  };
  ExpectRefused(name("count"), "column 2 (mean): its name 'count' is that of column 1 (count)");
  ExpectRefused(name("key"), "column 2 (mean): its name 'key' is that of group_by 1");
  ExpectRefused(name("window"), "column 2 (mean): its name 'window' is that of window");
  ExpectRefused(name("a.b"), "'a.b' cannot be the name of a field");
  ExpectRefused(name("$a"), "'$a' cannot be the name of a field");
  ExpectRefused(name(std::string(kFieldNameBytesMax + 1, 'n')), "cannot be the name of a field");
  ExpectRefused(
      [](auto& d) {
        d.mutable_aggregate()->add_group_by()->set_path("a.b");
        d.mutable_aggregate()->add_group_by()->set_path("a_b");
      },
      "group_by 3: its name 'a_b' is that of group_by 2");
}

TEST(ViewDefinitionTest, FunctionsHaveWords) {
  for (const v1::ViewFunction function :
       {v1::VIEW_COUNT, v1::VIEW_SUM, v1::VIEW_MEAN, v1::VIEW_MIN, v1::VIEW_MAX, v1::VIEW_DISTINCT}) {
    EXPECT_EQ(FunctionOfWord(FunctionWord(function)), function);
  }
  EXPECT_EQ(FunctionOfWord("median"), std::nullopt);
  EXPECT_EQ(FunctionWord(v1::VIEW_FUNCTION_UNSPECIFIED), "unknown");
}

}  // namespace
}  // namespace selvage::view
