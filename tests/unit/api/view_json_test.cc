#include "fabric/api/view_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "fabric/api/problem.h"
#include "fabric/view/view_definition.h"
#include "tests/unit/api/begin.h"

namespace selvage::api {
namespace {

using ::testing::HasSubstr;

TEST(ApiViewJsonTest, AViewOfNewestRecordsHasAStream) {
  const auto view = ReadView("v", R"({"stream": "s", "newest": true})");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->name(), "v");
  EXPECT_EQ(view->stream(), "s");
  EXPECT_TRUE(view->has_newest());
  EXPECT_EQ(ViewDefinitionJson(*view), R"({"name":"v","stream":"s","newest":true})");
}

TEST(ApiViewJsonTest, AnAggregateIsReadAndShown) {
  const auto view = ReadView("v", R"({
      "stream": "s", "group_by": [{"path": "$key"}, {"path": "site.id", "name": "at"}],
      "columns": [{"function": "count"}, {"function": "max", "path": "bar", "name": "top"}],
      "window_ms": 60000, "lateness_ms": 5000})");
  ASSERT_TRUE(view.ok()) << view.status();
  const v1::ViewAggregate& aggregate = view->aggregate();
  EXPECT_EQ(aggregate.group_by(0).path(), "$key");
  EXPECT_EQ(aggregate.columns(1).function(), v1::VIEW_MAX);
  EXPECT_EQ(aggregate.keep_ms(), 0);
  const auto complete = view::CompleteDefinition(*view);
  ASSERT_TRUE(complete.ok()) << complete.status();
  EXPECT_EQ(
      ViewDefinitionJson(*complete),
      R"({"name":"v","stream":"s","group_by":[{"path":"$key","name":"key"},{"path":"site.id","name":"at"}],)"
      R"("columns":[{"function":"count","name":"count"},{"function":"max","path":"bar","name":"top"}],)"
      R"("window_ms":60000,"lateness_ms":5000,"keep_ms":0})");
}

TEST(ApiViewJsonTest, WhatIsShownMakesTheSameView) {
  for (const std::string body : {R"({"stream": "s", "newest": true})",
                                 R"({"stream": "s", "window_ms": 1000, "columns": [{"function": "count"}]})",
                                 R"({"stream": "s", "group_by": [{"path": "a\"b"}],
                                     "columns": [{"function": "distinct", "path": "$key"}]})"}) {
    const auto view = view::CompleteDefinition(ReadView("v", body).value());
    ASSERT_TRUE(view.ok()) << view.status();
    auto shown = boost::json::parse(ViewDefinitionJson(*view));
    shown.as_object().erase("name");
    EXPECT_EQ(ReadView("v", boost::json::serialize(shown))->SerializeAsString(), view->SerializeAsString());
  }
}

TEST(ApiViewJsonTest, WhatIsNoDefinitionIsRefusedByItsPlace) {
  const auto problem = [](const std::string& body) { return Refuse(ReadView("v", body).status()).body; };
  EXPECT_THAT(problem("{}"), HasSubstr("stream must be given"));
  EXPECT_THAT(problem(R"({"stream": 1})"), HasSubstr("stream must be a string"));
  EXPECT_THAT(problem(R"({"stream": "s", "newest": false})"), HasSubstr("newest must be true"));
  EXPECT_THAT(problem(R"({"stream": "s", "newest": true, "columns": []})"),
              HasSubstr("columns must be left"));
  EXPECT_THAT(problem(R"({"stream": "s"})"), HasSubstr("columns must be given"));
  EXPECT_THAT(problem(R"({"stream": "s", "columns": [{"function": "median", "path": "a"}]})"),
              HasSubstr("columns[0].function must be one of count"));
  EXPECT_THAT(problem(R"({"stream": "s", "columns": [{"function": "count"}, 1]})"), HasSubstr("columns[1]"));
  EXPECT_THAT(problem(R"({"stream": "s", "columns": [{"function": "count", "name": ""}]})"),
              HasSubstr("columns[0].name must be"));
  EXPECT_THAT(problem(R"({"stream": "s", "columns": [], "group_by": [{"name": "a"}]})"),
              HasSubstr("group_by[0].path must be given"));
  EXPECT_THAT(problem(R"({"stream": "s", "columns": [], "group_by": "a"})"),
              HasSubstr("group_by must be an array"));
  for (const std::string window : {"0", "999", "-1", "1e3.5", "1000.5", "\"1000\"", "315360000001"}) {
    EXPECT_THAT(problem(R"({"stream": "s", "columns": [], "window_ms": )" + window + "}"),
                HasSubstr("\"status\":400"))
        << window;
  }
  EXPECT_THAT(problem(R"({"stream": "s", "columns": [], "lateness_ms": 0})"),
              HasSubstr("lateness_ms must be left out"));
  EXPECT_THAT(problem(R"({"stream": "s", "columns": [], "keep_ms": 0})"),
              HasSubstr("keep_ms must be left out"));
  EXPECT_THAT(problem(R"({"stream": "s", "newest": true, "more": 1})"), HasSubstr("more must be left out"));
}

TEST(ApiViewJsonTest, AViewSaysHowFarItIs) {
  v1::ViewStatus status;
  status.mutable_definition()->set_name("v");
  status.mutable_definition()->set_stream("s");
  status.mutable_definition()->mutable_newest();
  for (const std::string edge : {"rig-7", ""}) {
    v1::ViewLog& log = *status.add_logs();
    log.set_edge(edge);
    log.set_slot(3);
    log.set_next(5);
    log.set_end(9);
    log.set_behind(4);
    log.set_records(5);
    log.set_lost(1);
    log.set_trimmed(2);
  }
  status.mutable_logs(0)->set_diverged_at(4);
  (*status.mutable_skipped())["late"] = 7;
  v1::SkippedRecord& skipped = *status.add_skipped_records();
  skipped.set_edge("rig-7");
  skipped.set_reason("not_json");
  skipped.set_what("a \"quote\"");
  status.set_rebuilding(true);
  status.set_rebuild_behind(6);
  status.set_error("damaged");
  EXPECT_EQ(boost::json::parse(ViewJson(status)), boost::json::parse(R"({
      "name": "v", "stream": "s", "newest": true, "records": 10, "behind": 8, "lost": 2, "trimmed": 4,
      "rebuilding": true, "rebuild_behind": 6, "error": "damaged",
      "logs": [
          {"edge": "rig-7", "slot": 3, "partition": 0, "superseded": false, "next": 5, "end": 9, "behind": 4,
           "records": 5, "lost": 1, "trimmed": 2, "diverged_at": 4},
          {"partition": 0, "superseded": false, "next": 5, "end": 9, "behind": 4, "records": 5, "lost": 1,
           "trimmed": 2}],
      "skipped": {"late": 7},
      "skipped_records": [{"edge": "rig-7", "partition": 0, "offset": 0, "timestamp_ms": 0,
                           "reason": "not_json", "what": "a \"quote\""}]})"));
}

}  // namespace
}  // namespace selvage::api
