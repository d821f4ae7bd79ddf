#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "fabric/api/call.h"
#include "fabric/api/request_json.h"
#include "tests/support/served_tables.h"
#include "tests/unit/api/http_client.h"
#include "tests/unit/api/served_api.h"

/// Tables over HTTP, from the socket to the store.
namespace selvage::api {
namespace {

namespace http = boost::beast::http;
namespace json = boost::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TableApiTest : public ServedApiTest {
 protected:
  void SetUp() override { Serve(std::make_unique<test::ServedTables>()); }
  void Serve(std::unique_ptr<test::ServedTables> served) {
    ServedApiTest::Serve(std::move(served));
    ASSERT_EQ(Put("/v1/tables/pumps", R"({"direction": "both"})").result_int(), 201u);
  }

  Response Patch(const std::string& key, std::string_view type, const std::string& body) {
    return Ask("PATCH", Row(key), {{"Content-Type", std::string(type)}}, body);
  }
  static std::string Row(const std::string& key) { return "/v1/tables/pumps/rows/" + PercentEncode(key); }
  std::string Get(const std::string& key) {
    const Response response = Ask("GET", Row(key));
    return response.result_int() == 200 ? response.body() : "";
  }
  static std::vector<std::string> KeysOf(const Response& page) {
    std::vector<std::string> keys;
    const json::value parsed = json::parse(page.body());
    for (const auto& row : parsed.at("rows").as_array()) {
      keys.emplace_back(row.at("key").as_string());
    }
    return keys;
  }
  std::string Position() {
    return std::string(json::parse(Ask("GET", "/v1/tables/pumps").body()).at("position").as_string());
  }
};

TEST_F(TableApiTest, ARowIsPutReadChangedAndDeleted) {
  const Response made = Put(Row("site/a"), R"({"bar": 7, "unit": "bar"})");
  EXPECT_EQ(made.result_int(), 201u);
  const Response read = Ask("GET", Row("site/a"));
  EXPECT_EQ(read.body(), R"({"bar":7,"unit":"bar"})");
  EXPECT_EQ(read[http::field::content_type], "application/json");
  EXPECT_EQ(read[http::field::etag], made[http::field::etag]);
  EXPECT_EQ(Put(Row("site/a"), R"({"bar": 8})").result_int(), 204u);
  EXPECT_EQ(Get("site/a"), R"({"bar":8})");
  EXPECT_EQ(Ask("DELETE", Row("site/a")).result_int(), 204u);
  EXPECT_EQ(Verdict(Ask("GET", Row("site/a"))), "404 row_not_found");
  EXPECT_EQ(Ask("DELETE", Row("site/a")).result_int(), 204u);
}

TEST_F(TableApiTest, HeadIsGetWithoutTheBody) {
  Put(Row("a"), R"({"bar": 7})");
  const Response head = Ask("HEAD", Row("a"));
  EXPECT_EQ(head.result_int(), 200u);
  EXPECT_EQ(head[http::field::content_length], "9");
  EXPECT_EQ(head.body(), "");
  EXPECT_EQ(Ask("HEAD", Row("b")).result_int(), 404u);
  EXPECT_EQ(Get("a"), R"({"bar":7})") << "the connection goes on";
}

TEST_F(TableApiTest, WritesHoldWhereTheirConditionDoes) {
  const std::string first(Put(Row("a"), "{}", {{"If-None-Match", "*"}})[http::field::etag]);
  EXPECT_EQ(Verdict(Put(Row("a"), "{}", {{"If-None-Match", "*"}})), "412 row_exists");
  const Response second = Put(Row("a"), R"({"n": 2})", {{"If-Match", "\"x\", " + first}});
  EXPECT_EQ(second.result_int(), 204u);
  EXPECT_EQ(Verdict(Put(Row("a"), R"({"n": 3})", {{"If-Match", first}})), "412 version_mismatch");
  EXPECT_EQ(Verdict(Ask("DELETE", Row("a"), {{"If-Match", first}})), "412 version_mismatch");
  EXPECT_EQ(Verdict(Put(Row("a"), "{}", {{"If-None-Match", std::string(second[http::field::etag])}})),
            "412 version_mismatch");
  EXPECT_EQ(Get("a"), R"({"n":2})");
  EXPECT_EQ(Verdict(Put(Row("b"), "{}", {{"If-Match", "*"}})), "412 row_absent");
  EXPECT_EQ(Verdict(Put(Row("b"), "{}", {{"If-Match", "b"}})), "400 invalid_condition");
  EXPECT_EQ(Verdict(Ask("DELETE", Row("a"), {{"If-Match", "*"}})), "204");
}

TEST_F(TableApiTest, AReaderWhoHasTheNewestVersionIsTold) {
  const std::string tag(Put(Row("a"), R"({"bar": 7})")[http::field::etag]);
  const Response same = Ask("GET", Row("a"), {{"If-None-Match", "W/" + tag}});
  EXPECT_EQ(same.result_int(), 304u);
  EXPECT_EQ(same[http::field::etag], tag);
  EXPECT_EQ(same.body(), "");
  Put(Row("a"), R"({"bar": 8})");
  EXPECT_EQ(Ask("GET", Row("a"), {{"If-None-Match", tag}}).body(), R"({"bar":8})");
  EXPECT_EQ(Verdict(Ask("GET", Row("a"), {{"If-Match", tag}})), "412 version_mismatch");
  EXPECT_EQ(Verdict(Ask("GET", Row("b"), {{"If-Match", "*"}})), "412 row_absent");
}

TEST_F(TableApiTest, AMergePatchChangesWhatItNames) {
  EXPECT_EQ(Patch("a", kMergePatchType, R"({"bar": 7, "at": {"x": 1, "y": 2}})").result_int(), 201u);
  EXPECT_EQ(Patch("a", kMergePatchType, R"({"bar": null, "at": {"x": 3}, "new": true})").result_int(), 204u);
  EXPECT_EQ(Get("a"), R"({"at":{"x":3,"y":2},"new":true})");
  EXPECT_EQ(Verdict(Patch("a", "application/json", "{}")), "415 unsupported_media_type");
}

TEST_F(TableApiTest, AnUpdateSetsUnsetsAndIncrements) {
  Put(Row("a"), R"({"n": 1, "old": 1, "text": "x"})");
  EXPECT_EQ(
      Patch("a", kUpdateType, R"({"set": {"new": 2}, "unset": ["old"], "increment": {"n": 4}})").result_int(),
      204u);
  EXPECT_EQ(Get("a"), R"({"n":5,"new":2,"text":"x"})");
  EXPECT_EQ(Verdict(Patch("a", kUpdateType, R"({"increment": {"text": 1}})")), "409 not_a_number");
  EXPECT_EQ(Verdict(Patch("a", kUpdateType, R"({"set": {"n": 1}, "unset": ["n"]})")),
            "400 field_named_twice");
}

TEST_F(TableApiTest, ATimeToLiveIsShownAndCanBeLifted) {
  const int64_t before = absl::ToUnixMillis(absl::Now());
  Put(Row("a") + "?ttl_ms=600000", "{}");
  const std::string expiry(Ask("GET", Row("a"))["Selvage-Expires-At-Ms"]);
  EXPECT_GE(std::stoll(expiry), before + 600'000);
  Ask("PATCH", Row("a") + "?expires_at_ms=never", {{"Content-Type", std::string(kMergePatchType)}}, "{}");
  EXPECT_EQ(Ask("GET", Row("a"))["Selvage-Expires-At-Ms"], "");
  Put(Row("b") + "?expires_at_ms=1000", "{}");
  EXPECT_EQ(Verdict(Ask("GET", Row("b"))), "404 row_not_found");
}

TEST_F(TableApiTest, ScansGoOnWhereAPageEnded) {
  for (const std::string key : {"a", "b/1", "b/2", "b/3", "c"}) Put(Row(key), "{}");
  const std::string rows = "/v1/tables/pumps/rows";
  EXPECT_THAT(KeysOf(Ask("GET", rows)), ElementsAre("a", "b/1", "b/2", "b/3", "c"));
  EXPECT_THAT(KeysOf(Ask("GET", rows + "?from=b&to=c")), ElementsAre("b/1", "b/2", "b/3"));
  const Response first = Ask("GET", rows + "?prefix=b/&limit=2");
  EXPECT_THAT(KeysOf(first), ElementsAre("b/1", "b/2"));
  const std::string next(json::parse(first.body()).at("next").as_string());
  const Response second = Ask("GET", rows + "?prefix=b/&limit=2&next=" + next);
  EXPECT_THAT(KeysOf(second), ElementsAre("b/3"));
  EXPECT_FALSE(json::parse(second.body()).as_object().contains("next"));
}

TEST_F(TableApiTest, QueriesFilter) {
  for (int i = 0; i < 5; ++i) Put(Row("p" + std::to_string(i)), R"({"bar": )" + std::to_string(i) + "}");
  const std::string query = "/v1/tables/pumps/query";
  EXPECT_THAT(KeysOf(Post(query, R"({"filter": {"bar": {"$gte": 3}}})")), ElementsAre("p3", "p4"));
  const Response first = Post(query, R"({"filter": {"bar": {"$ne": 1}}, "limit": 2})");
  EXPECT_THAT(KeysOf(first), ElementsAre("p0", "p2"));
  const std::string next(json::parse(first.body()).at("next").as_string());
  EXPECT_THAT(KeysOf(Post(query, R"({"filter": {"bar": {"$ne": 1}}, "limit": 2, "next": ")" + next + "\"}")),
              ElementsAre("p3", "p4"));
  EXPECT_EQ(Verdict(Post(query, R"({"filter": {"bar": {"$near": 3}}})")), "400 invalid_filter");
  EXPECT_EQ(Verdict(Post("/v1/tables/nowhere/query", "{}")), "404 unknown_table");
}

TEST_F(TableApiTest, QueriesOrderProjectCountAndExplain) {
  for (int i = 0; i < 3; ++i)
    Put(Row("p" + std::to_string(i)), R"({"bar": )" + std::to_string(i) + R"(, "x": 1})");
  const std::string query = "/v1/tables/pumps/query";
  EXPECT_THAT(KeysOf(Post(query, R"({"order": "bar", "descending": true})")), ElementsAre("p2", "p1", "p0"));
  const auto projected = json::parse(Post(query, R"({"fields": ["bar"], "limit": 1})").body());
  EXPECT_EQ(json::serialize(projected.at("rows").at(0).at("row")), R"({"bar":0})");
  EXPECT_EQ(Post(query, R"({"filter": {"bar": {"$gt": 0}}, "count": true})").body(),
            R"({"count":2,"looked_at":3})");
  EXPECT_EQ(json::parse(Post(query, R"({"explain": true})").body()).at("plan").at("scan"), true);
  EXPECT_EQ(Verdict(Post(query, R"({"next": "eD8"})")), "400 invalid_continuation");
}

TEST_F(TableApiTest, IndexesArePutReadAndDeleted) {
  const std::string index = "/v1/tables/pumps/indexes/by-bar";
  EXPECT_EQ(Verdict(Ask("GET", index)), "404 unknown_index");
  const Response made = Put(index, R"({"path": "bar"})");
  EXPECT_EQ(made.result_int(), 201u);
  EXPECT_EQ(made.body(), R"({"name":"by-bar","path":"bar","ready":true,"rows_read":0,"rows_unread":0})");
  EXPECT_EQ(Put(index, R"({"path": "bar"})").result_int(), 200u) << "it is there already";
  EXPECT_EQ(Verdict(Put(index, R"({"path": "other"})")), "409 index_exists");
  EXPECT_EQ(Verdict(Put(index + "2", R"({"path": "$bar"})")), "400 invalid_index");
  EXPECT_EQ(Ask("GET", index).body(), made.body());
  EXPECT_EQ(json::serialize(json::parse(Ask("GET", "/v1/tables/pumps").body()).at("indexes")),
            "[" + made.body() + "]");
  const Response plan = Post("/v1/tables/pumps/query", R"({"filter": {"bar": 1}, "explain": true})");
  EXPECT_EQ(json::parse(plan.body()).at("plan").at("index"), "by-bar");
  EXPECT_EQ(Ask("DELETE", index).result_int(), 204u);
  EXPECT_EQ(Verdict(Ask("DELETE", index)), "404 unknown_index");
  EXPECT_EQ(Verdict(Ask("GET", "/v1/tables/nowhere/indexes/x")), "404 unknown_table");
}

TEST_F(TableApiTest, ABatchIsDoneWholeOrNotAtAll) {
  const std::string batch = "/v1/tables/pumps/batch";
  const Response done = Post(batch, R"({"operations": [
      {"op": "put", "key": "a", "row": {"n": 1}}, {"op": "update", "key": "a", "increment": {"n": 1}},
      {"op": "merge", "key": "b", "patch": {"m": 1}}, {"op": "delete", "key": "c"}]})");
  ASSERT_EQ(done.result_int(), 200u) << done.body();
  const json::value results = json::parse(done.body()).at("results");
  EXPECT_EQ(results.at(0).at("created"), true);
  EXPECT_EQ(results.at(1).at("created"), false);
  EXPECT_EQ("\"" + std::string(results.at(1).at("version").as_string()) + "\"",
            Ask("GET", Row("a"))[http::field::etag]);
  EXPECT_FALSE(results.at(3).as_object().contains("version"));
  const Response refused = Post(batch, R"({"operations": [
      {"op": "put", "key": "a", "row": {"n": 9}}, {"op": "put", "key": "b", "row": {}, "if_absent": true}]})");
  EXPECT_EQ(Verdict(refused), "412 row_exists");
  EXPECT_THAT(refused.body(), HasSubstr(R"(row \"b\")"));
  EXPECT_EQ(Get("a"), R"({"n":2})");
}

TEST_F(TableApiTest, WhatIsTooLargeIsRefused) {
  const std::string large = R"({"x": ")" + std::string(1u << 20, 'x') + "\"}";
  EXPECT_EQ(Verdict(Put(Row("a"), large)), "413 row_too_large");
  EXPECT_EQ(Verdict(Put(Row("a"), std::string((4u << 20) + 1, ' '))), "413 body_too_large");
  client_.emplace(served_->port());  // what was not read ended the connection
  EXPECT_EQ(Verdict(Ask("GET", "/v1/tables/pumps/rows/" + std::string(1025, 'k'))), "400 invalid_key");
  EXPECT_EQ(Get("a"), "");
}

TEST_F(TableApiTest, TablesAreMadeSetListedAndDropped) {
  const Response made = Put("/v1/tables/t", R"({"direction": "local", "row_bytes_max": 2000})");
  EXPECT_EQ(made.result_int(), 201u);
  EXPECT_EQ(json::parse(made.body()).at("direction"), "local");
  EXPECT_EQ(Put("/v1/tables/t", R"({"prefix": "p"})").result_int(), 200u);
  const json::value described = json::parse(Ask("GET", "/v1/tables/t").body());
  EXPECT_EQ(described.at("prefix"), "p");
  EXPECT_EQ(described.at("direction"), "local");
  EXPECT_EQ(described.at("rows"), 0);
  EXPECT_EQ(Verdict(Put("/v1/tables/t", R"({"direction": "both"})")), "409 definition_mismatch");
  EXPECT_EQ(Verdict(Put("/v1/tables/a%20b", "{}")), "400 invalid_table");
  EXPECT_EQ(json::parse(Ask("GET", "/v1/tables").body()).at("tables").as_array().size(), 2u);
  EXPECT_EQ(Ask("DELETE", "/v1/tables/t").result_int(), 204u);
  EXPECT_EQ(Verdict(Ask("DELETE", "/v1/tables/t")), "404 unknown_table");
  EXPECT_EQ(Verdict(Ask("GET", "/v1/tables/t")), "404 unknown_table");
  EXPECT_EQ(Verdict(Ask("GET", "/v1/tables/t/rows/a")), "404 unknown_table");
  EXPECT_EQ(Verdict(Put("/v1/tables/t/rows/a", "{}")), "404 unknown_table");
}

TEST_F(TableApiTest, ATableThatOnlyComesDownIsNotWrittenAtAnEdge) {
  Put("/v1/tables/down", R"({"direction": "down"})");
  EXPECT_EQ(Verdict(Put("/v1/tables/down/rows/a", "{}")), "403 read_only_table");
}

TEST_F(TableApiTest, AFullDiskIsSaid) {
  Serve(std::make_unique<test::ServedTables>(Server::Options(), DiskBudget::Limits{.budget = 2000}));
  EXPECT_EQ(Verdict(Put(Row("a"), R"({"x": ")" + std::string(3000, 'x') + "\"}")), "507 disk_full");
}

TEST_F(TableApiTest, ItDescribesItself) {
  const json::value document = json::parse(Ask("GET", "/v1/openapi.json").body());
  EXPECT_EQ(document.at("openapi"), "3.1.0");
}

TEST_F(TableApiTest, RequestsAndErrorsAreCounted) {
  Put(Row("a"), "{}");
  Put(Row("a"), "[]");
  Ask("GET", "/nowhere");
  const std::string metrics = served_->metrics().Text();
  EXPECT_THAT(metrics, HasSubstr("selvage_api_requests_total{route=\"putRow\",status=\"201\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("selvage_api_requests_total{route=\"putRow\",status=\"400\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("selvage_api_requests_total{route=\"none\",status=\"404\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("selvage_api_request_seconds_count{route=\"putRow\"} 2\n"));
  EXPECT_THAT(metrics, HasSubstr("selvage_errors_total{kind=\"not_an_object\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("selvage_errors_total{kind=\"unknown_path\"} 1\n"));
}

/// Reads events, as a browser's EventSource does.
class Events {
 public:
  Events(uint16_t port, const std::string& target, const Headers& headers = {}) : client_(port) {
    client_.Send(HttpClient::Request("GET", target, headers));
    head_ = client_.ReadUntil("\r\n\r\n");
  }
  const std::string& head() const { return head_; }
  /// "put a {...}", the type and the data of the next event that a client sees; "end" at the end.
  std::string Next() {
    for (;;) {
      const std::string text = client_.ReadUntil("\n\n");
      if (text.empty() || !text.ends_with("\n\n")) return "end";
      id_ = Field(text, "id: ").value_or(id_);
      if (const auto data = Field(text, "data: ")) return *Field(text, "event: ") + " " + *data;
    }
  }
  /// Key and row of the next "put", or "- key" of a "delete".
  std::string NextRow() {
    const std::string event = Next();
    const size_t space = event.find(' ');
    if (space == std::string::npos) return event;
    const json::value data = json::parse(event.substr(space + 1));
    const std::string key(data.at("key").as_string());
    return event.starts_with("put") ? key + " " + json::serialize(data.at("row")) : "- " + key;
  }
  const std::string& id() const { return id_; }

 private:
  static std::optional<std::string> Field(const std::string& text, const std::string& name) {
    size_t at = text.find("\n" + name);
    if (at == std::string::npos) return std::nullopt;
    at += 1 + name.size();
    return text.substr(at, text.find('\n', at) - at);
  }

  HttpClient client_;
  std::string head_;
  std::string id_;
};

TEST_F(TableApiTest, AWatchSendsWhatChanges) {
  Put(Row("before"), "{}");
  Events events(served_->port(), "/v1/tables/pumps/watch?prefix=p");
  EXPECT_THAT(events.head(), HasSubstr("200 OK"));
  EXPECT_THAT(events.head(), HasSubstr("text/event-stream"));
  Put(Row("p1"), R"({"bar": 7})");
  EXPECT_EQ(events.NextRow(), R"(p1 {"bar":7})");
  Put(Row("q"), "{}");
  Put(Row("p2"), "{}");
  EXPECT_EQ(events.NextRow(), "p2 {}");
  Ask("DELETE", Row("p1"));
  EXPECT_EQ(events.NextRow(), "- p1");
}

TEST_F(TableApiTest, AWatchFromTheStartSendsAllRows) {
  for (int i = 0; i < 1500; ++i) {
    ASSERT_TRUE(
        served_->tables().WriteAndWait("pumps", {{std::to_string(i), table::RowOperation::Put{}}}).ok());
  }
  Events events(served_->port(), "/v1/tables/pumps/watch?from=start");
  std::set<std::string> keys;
  for (int i = 0; i < 1500; ++i) keys.insert(events.NextRow());
  EXPECT_EQ(keys.size(), 1500u);
}

TEST_F(TableApiTest, AWatchIsResumedWhereItEnded) {
  std::string id;
  {
    Events events(served_->port(), "/v1/tables/pumps/watch");
    Put(Row("a"), "{}");
    EXPECT_EQ(events.NextRow(), "a {}");
    id = events.id();
  }
  Put(Row("b"), "{}");
  Ask("DELETE", Row("a"));
  Events events(served_->port(), "/v1/tables/pumps/watch?from=start", {{"Last-Event-ID", id}});
  EXPECT_EQ(events.NextRow(), "b {}");
  EXPECT_EQ(events.NextRow(), "- a");
}

TEST_F(TableApiTest, AScanAndAWatchFromBeforeItMissNothing) {
  Put(Row("a"), "{}");
  const std::string position = Position();
  Put(Row("b"), "{}");
  EXPECT_THAT(KeysOf(Ask("GET", "/v1/tables/pumps/rows")), ElementsAre("a", "b"));
  Events events(served_->port(), "/v1/tables/pumps/watch?from=" + position);
  EXPECT_EQ(events.NextRow(), "b {}");
}

TEST_F(TableApiTest, APositionThatIsNotKnownIsGone) {
  const std::string watch = "/v1/tables/pumps/watch";
  const std::string other = "00112233445566778899aabbccddeeff-7";
  EXPECT_EQ(Verdict(Ask("GET", watch, {{"Last-Event-ID", other}})), "410 position_expired");
  EXPECT_EQ(Verdict(Ask("GET", watch + "?from=" + other)), "410 position_expired");
  EXPECT_EQ(Verdict(Ask("GET", watch + "?from=yesterday")), "400 invalid_position");
  EXPECT_EQ(Verdict(Ask("GET", "/v1/tables/nowhere/watch")), "404 unknown_table");
}

TEST_F(TableApiTest, AWatchEndsWithItsTable) {
  Events events(served_->port(), "/v1/tables/pumps/watch");
  Put("/v1/tables/other", "{}");
  Ask("DELETE", "/v1/tables/pumps");
  Put("/v1/tables/other/rows/a", "{}");  // a change, of whatever table
  const std::string last = events.Next();
  EXPECT_TRUE(last.starts_with("problem ")) << last;
  EXPECT_EQ(json::parse(last.substr(8)).at("kind"), "unknown_table");
  EXPECT_EQ(events.Next(), "end");
}

}  // namespace
}  // namespace selvage::api
