#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"
#include "tests/support/served_tables.h"
#include "tests/unit/api/served_api.h"

/// Views over HTTP, from the socket to the store.
namespace selvage::api {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

constexpr char kView[] = "/v1/views/by-site";
constexpr char kCounts[] =
    R"({"stream": "telemetry", "group_by": [{"path": "site"}], "columns": [{"function": "count"}, {"function": "mean", "path": "bar"}]})";

class ViewApiTest : public ServedApiTest {
 protected:
  void SetUp() override {
    Serve(std::make_unique<test::ServedTables>());
    v1::StreamDefinition definition;
    definition.set_name("telemetry");
    definition.set_direction(v1::LOCAL);
    definition.set_partitions(1);
    *definition.mutable_settings() = DefaultStreamSettings();
    const auto complete = CompleteDefinition(definition);
    ASSERT_EQ(complete.status(), absl::OkStatus());
    ASSERT_EQ(node().catalog().Put(*complete), absl::OkStatus());
    ASSERT_EQ(node().streams().CreateLogs(*complete), absl::OkStatus());
  }
  NodeState& node() { return served_->node(); }
  void Produce(const std::vector<std::string>& values) {
    BatchBuilder builder;
    for (const std::string& value : values) builder.Add({Offset(0), 1'700'000'000'000, "k", value, {}});
    absl::Notification appended;
    ASSERT_EQ(node()
                  .logs()
                  .Find({"", Slot(0), "telemetry", PartitionId(0)})
                  ->Append(builder.Build(), [&](const auto&) { appended.Notify(); }),
              absl::OkStatus());
    appended.WaitForNotification();
  }
  void Feed() {
    for (absl::StatusOr<bool> more = true; *more;) {
      more = node().views().RunOnce();
      ASSERT_EQ(more.status(), absl::OkStatus());
    }
  }
  json::value View() { return json::parse(Ask("GET", kView).body()); }
};

TEST_F(ViewApiTest, AViewIsMadeFedShownAndDropped) {
  const Response made = Put(kView, kCounts);
  EXPECT_EQ(made.result_int(), 201u) << made.body();
  EXPECT_EQ(json::parse(made.body()), json::parse(R"({
      "name": "by-site", "stream": "telemetry", "group_by": [{"path": "site", "name": "site"}],
      "columns": [{"function": "count", "name": "count"},
                  {"function": "mean", "path": "bar", "name": "mean_bar"}]})"));
  EXPECT_EQ(Ask("GET", "/v1/views").body(), R"({"views":[)" + made.body() + "]}");
  Produce({R"({"site": "a", "bar": 1})", R"({"site": "a", "bar": 4})"});
  EXPECT_EQ(View().at("behind"), 2);
  Feed();
  const json::value view = View();
  EXPECT_EQ(view.at("records"), 2);
  EXPECT_EQ(view.at("behind"), 0);
  EXPECT_EQ(view.at("rebuilding"), false);
  EXPECT_FALSE(view.as_object().contains("error"));
  EXPECT_EQ(
      json::serialize(view.at("logs")),
      R"([{"partition":0,"superseded":false,"next":2,"end":2,"behind":0,"records":2,"lost":0,"trimmed":0}])");
  EXPECT_EQ(Ask("GET", "/v1/tables/by-site/rows/%22a%22").body(), R"({"count":2,"mean_bar":2.5,"site":"a"})");
  EXPECT_EQ(Verdict(Ask("GET", "/v1/tables/by-site/rows/%22b%22")), "404 row_not_found")
      << "a key that appears in no group";
  EXPECT_EQ(Ask("DELETE", kView).result_int(), 204u);
  EXPECT_EQ(Verdict(Ask("DELETE", kView)), "404 unknown_view");
  EXPECT_EQ(Verdict(Ask("GET", kView)), "404 unknown_view");
  EXPECT_EQ(Verdict(Ask("GET", "/v1/tables/by-site")), "404 unknown_table");
  EXPECT_EQ(Ask("GET", "/v1/views").body(), R"({"views":[]})");
}

TEST_F(ViewApiTest, WhatItCannotUseIsCountedAndListed) {
  Put(kView, kCounts);
  Produce({"no json", R"({"bar": 1})", R"({"site": "a", "bar": "high"})"});
  Feed();
  const json::value view = View();
  EXPECT_EQ(view.at("skipped"), json::parse(R"({"no_field": 1, "not_a_number": 1, "not_json": 1})"));
  EXPECT_EQ(
      json::serialize(view.at("skipped_records").at(2)),
      R"({"partition":0,"offset":2,"timestamp_ms":1700000000000,"reason":"not_a_number","what":"bar"})");
  EXPECT_EQ(Ask("GET", "/v1/tables/by-site/rows/%22a%22").body(), R"({"count":1,"site":"a"})")
      << "an aggregate over text";
}

TEST_F(ViewApiTest, TheSameViewMayBePutAgainAndNoOther) {
  EXPECT_EQ(Put(kView, kCounts).result_int(), 201u);
  const Response again = Put(kView, kCounts);
  EXPECT_EQ(again.result_int(), 200u);
  EXPECT_EQ(json::parse(again.body()).at("name"), "by-site");
  EXPECT_EQ(Verdict(Put(kView, R"({"stream": "telemetry", "newest": true})")), "409 view_exists");
  EXPECT_EQ(View().at("columns").as_array().size(), 2u) << "it is as it was";
  ASSERT_EQ(Put("/v1/tables/pumps", "{}").result_int(), 201u);
  EXPECT_EQ(Verdict(Put("/v1/views/pumps", kCounts)), "409 table_exists");
}

TEST_F(ViewApiTest, ItIsBuiltAnewWhenAsked) {
  Put(kView, kCounts);
  Produce({R"({"site": "a", "bar": 1})"});
  Feed();
  const Response begun = Ask("POST", std::string(kView) + "/rebuild");
  EXPECT_EQ(begun.result_int(), 202u) << begun.body();
  EXPECT_EQ(View().at("rebuilding"), true);
  EXPECT_EQ(View().at("rebuild_behind"), 1);
  EXPECT_EQ(Verdict(Ask("POST", std::string(kView) + "/rebuild")), "409 rebuilding");
  Feed();
  EXPECT_EQ(View().at("rebuilding"), false);
  EXPECT_FALSE(View().as_object().contains("rebuild_behind"));
  EXPECT_EQ(Verdict(Ask("POST", "/v1/views/nothing/rebuild")), "404 unknown_view");
}

TEST_F(ViewApiTest, ItsTableIsTheViewsAlone) {
  Put(kView, kCounts);
  EXPECT_EQ(Verdict(Put("/v1/tables/by-site/rows/x", "{}")), "403 read_only_table");
  EXPECT_EQ(Verdict(Ask("DELETE", "/v1/tables/by-site")), "409 view_table");
}

TEST_F(ViewApiTest, WhatIsAskedWronglyIsExplained) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {R"({"stream": "nothing", "newest": true})", "404 unknown_stream"},
      {R"({"stream": "", "newest": true})", "400 invalid_view"},
      {"[]", "400 not_an_object"},
      {R"({"stream": "telemetry", "newest": true)", "400 invalid_json"},
      {R"({"stream": "telemetry", "columns": []})", "400 invalid_view"},
      {R"({"stream": "telemetry", "columns": [{"function": "count"}]})", "400 invalid_view"},
      {R"({"stream": "telemetry", "group_by": [{"path": "a"}], "columns": [{"function": "sum"}]})",
       "400 invalid_view"},
      {R"({"stream": "telemetry", "window_ms": 0, "columns": [{"function": "count"}]})",
       "400 invalid_request"},
      {R"({"stream": "telemetry", "window_ms": 5000, "lateness_ms": 9, "keep_ms": 5, "columns": [{"function": "count"}]})",
       "400 invalid_view"},
  };
  for (const auto& [body, verdict] : wrong) EXPECT_EQ(Verdict(Put(kView, body)), verdict) << body;
  std::string deep = "a";
  for (int i = 1; i < 100; ++i) deep += ".a";
  const Response of_deep = Put(kView, R"({"stream": "telemetry", "group_by": [{"path": ")" + deep +
                                          R"("}], "columns": [{"function": "count"}]})");
  EXPECT_EQ(Verdict(of_deep), "400 invalid_view");
  EXPECT_THAT(of_deep.body(), HasSubstr("a path of 100 names"));
  EXPECT_EQ(Verdict(Put("/v1/views/a%20b", kCounts)), "400 invalid_view");
  EXPECT_EQ(Verdict(Ask("GET", "/v1/views/" + std::string(250, 'v'))), "400 invalid_parameter");
  EXPECT_EQ(Verdict(Put(kView, std::string((64u << 10) + 1, ' '))), "413 body_too_large");
  client_.emplace(served_->port());  // what was not read ended the connection
  EXPECT_EQ(Ask("GET", "/v1/views").body(), R"({"views":[]})") << "nothing was made";
  EXPECT_EQ(Ask("GET", "/v1/tables").body(), R"({"tables":[]})");
}

}  // namespace
}  // namespace selvage::api
