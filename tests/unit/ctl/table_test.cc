#include <gmock/gmock.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "selvage/v1/admin.grpc.pb.h"
#include "tests/unit/ctl/fake_tables.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kVersion[] = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

class TableCommandsTest : public testing::Test {
 protected:
  CtlRun Ctl(std::vector<std::string> arguments, const std::string& input = "",
             const std::function<void(World&)>& change = nullptr) {
    arguments.insert(arguments.begin(), "table");
    return RunCtl(node_.address(), std::move(arguments), input, change);
  }
  CtlRun Done(std::vector<std::string> arguments, const std::string& input = "") {
    CtlRun run = Ctl(std::move(arguments), input);
    EXPECT_EQ(run.code, kDone) << run.err;
    return run;
  }
  CtlRun Failed(std::vector<std::string> arguments, const std::string& input = "") {
    CtlRun run = Ctl(std::move(arguments), input);
    EXPECT_EQ(run.code, kFailed) << run.out;
    return run;
  }
  const v1::RowOperation& written() const { return node_.write_request.operations(0); }

  FakeTables node_;
};

TEST_F(TableCommandsTest, CreateSendsTheWholeDefinition) {
  const CtlRun run = Done({"create", "pumps", "--direction", "up", "--prefix", "site/${edge}/",
                           "--row-bytes-max", "64KiB", "--priority", "7", "--expired-kept", "7d",
                           "--tombstones-kept", "30d", "--tombstones-kept-max", "90d"});
  EXPECT_EQ(run.out, "table pumps created: up, generation provisional\n");
  const v1::TableDefinition& sent = node_.create_request.definition();
  EXPECT_EQ(sent.name(), "pumps");
  EXPECT_EQ(sent.direction(), v1::TABLE_UP);
  EXPECT_EQ(sent.settings().prefix(), "site/${edge}/");
  EXPECT_EQ(sent.settings().row_bytes_max(), 64u << 10);
  EXPECT_EQ(sent.settings().priority(), 7u);
  EXPECT_EQ(sent.settings().weight(), 1u);
  EXPECT_EQ(sent.settings().expired_kept_ms(), 7 * 86'400'000);
  EXPECT_EQ(sent.settings().tombstones_kept_ms(), 30 * int64_t{86'400'000});
  EXPECT_EQ(sent.settings().tombstones_kept_max_ms(), 90 * int64_t{86'400'000});
  EXPECT_EQ(Ctl({"create", "pumps"}).code, kUsage) << "a direction is needed";
}

TEST_F(TableCommandsTest, SetSendsOnlyWhatIsGiven) {
  Done({"set", "pumps", "--prefix", "", "--weight", "3", "--if-generation", "9"});
  EXPECT_THAT(node_.set_request.fields(), ElementsAre("prefix", "weight"));
  EXPECT_EQ(node_.set_request.settings().prefix(), "");
  EXPECT_EQ(node_.set_request.settings().weight(), 3u);
  EXPECT_EQ(node_.set_request.if_generation(), 9u);
  EXPECT_THAT(Failed({"set", "pumps"}).err, HasSubstr("no setting is given"));
}

TEST_F(TableCommandsTest, ListAndDescribeAreTablesOrJson) {
  EXPECT_EQ(Done({"list"}).out,
            "TABLE  DIRECTION  PREFIX         ROW SIZE  PRIORITY  WEIGHT   GENERATION\n"
            "pumps  both       site/${edge}/   1.0 MiB         5       1  provisional\n");
  EXPECT_THAT(
      Done({"describe", "pumps"}).out,
      AllOf(HasSubstr("rows:            12\n"), HasSubstr("tombstones:      3\n"),
            HasSubstr("feed end:        feed-7\n"), HasSubstr("quarantined:     4\n"),
            HasSubstr("conflicts:       5\n"),
            HasSubstr("by-bar  bar   building: 6 of 15 rows read             1"), HasSubstr("read by:\nNODE"),
            HasSubstr("rig-7  22222222222222222222222222222222      17"),
            HasSubstr("until rig-7 has them (heard of last"), HasSubstr("read from:\nNODE"),
            HasSubstr("rig-7  11111111111111111111111111111111  -       feed-9   snapshot under way")));
  EXPECT_EQ(boost::json::parse(Done({"describe", "pumps", "-o", "json"}).out).at("rows"), 12);
  EXPECT_THAT(Failed({"describe", "nothing"}).err, HasSubstr("there is no table nothing"));
  EXPECT_EQ(Done({"forget", "pumps", "rig-9"}).out, "table pumps waits for rig-9 no longer\n");
  EXPECT_EQ(node_.forget_request.table(), "pumps");
  EXPECT_EQ(node_.forget_request.node(), "rig-9");
  EXPECT_EQ(Done({"capture", "pumps"}).out, "changes of table pumps go to stream table.pumps.changes\n");
  EXPECT_FALSE(node_.capture_request.off());
  EXPECT_EQ(Done({"capture", "pumps", "--off"}).out, "changes of table pumps are not captured\n");
  EXPECT_TRUE(node_.capture_request.off());
  Done({"drop", "pumps"});
  EXPECT_EQ(node_.drop_request.table(), "pumps");
}

TEST_F(TableCommandsTest, PutTakesTheRowFromTheLineOrTheInput) {
  EXPECT_EQ(Done({"put", "pumps", "p-7", R"({"bar":7})"}).out,
            "row p-7 created, version 11111111111111111111111111111111\n");
  EXPECT_EQ(node_.write_request.table(), "pumps");
  EXPECT_EQ(written().key(), "p-7");
  EXPECT_EQ(written().put().row(), R"({"bar":7})");
  EXPECT_FALSE(written().put().has_expires_at_ms());
  EXPECT_EQ(written().condition().kind(), v1::RowCondition::NONE);
  EXPECT_EQ(Done({"put", "pumps", "p-7"}, "{\n\"bar\": 8}").out,
            "row p-7 written, version 11111111111111111111111111111111\n");
  EXPECT_EQ(written().put().row(), "{\n\"bar\": 8}\n");
  const CtlRun run = Done({"put", "pumps", "p-8", "{}", "-o", "json"});
  EXPECT_EQ(boost::json::parse(run.out).at("created"), true);
}

TEST_F(TableCommandsTest, WritesHaveExpiriesAndConditions) {
  Done({"put", "pumps", "a", "{}", "--expires-at", "2026-03-01T12:00:00Z", "--if-absent"});
  EXPECT_EQ(written().put().expires_at_ms(), 1772366400000);
  EXPECT_EQ(written().condition().kind(), v1::RowCondition::ABSENT);
  const int64_t before = absl::ToUnixMillis(SystemClock().Wall());
  Done({"update", "pumps", "a", "--ttl", "1h", "--if-present"});
  EXPECT_GE(written().update().expiry().at_ms(), before + 3'600'000);
  EXPECT_LE(written().update().expiry().at_ms(), absl::ToUnixMillis(SystemClock().Wall()) + 3'600'000);
  EXPECT_EQ(written().condition().kind(), v1::RowCondition::PRESENT);
  Done({"update", "pumps", "a", "--no-expiry", "--if-version", kVersion});
  EXPECT_TRUE(written().update().has_expiry());
  EXPECT_FALSE(written().update().expiry().has_at_ms());
  EXPECT_EQ(written().condition().kind(), v1::RowCondition::VERSION_IN);
  EXPECT_THAT(written().condition().versions(), ElementsAre(std::string(16, '\x5a')));
  EXPECT_THAT(Failed({"delete", "pumps", "a", "--if-version", "5a"}).err,
              HasSubstr("is no version of a row"));
  EXPECT_EQ(Ctl({"put", "pumps", "a", "{}", "--ttl", "1h", "--expires-at", "5"}).code, kUsage);
  EXPECT_EQ(Ctl({"put", "pumps", "a", "{}", "--if-absent", "--if-present"}).code, kUsage);
}

TEST_F(TableCommandsTest, UpdateSendsFieldsOrAMergePatch) {
  Done({"update", "pumps", "a", "--set", "bar=7.50", "--set", R"(unit="b=r")", "--unset", "old", "--unset",
        "older", "--increment", "runs=2"});
  EXPECT_EQ(written().update().set(), R"({"bar":7.5,"unit":"b=r"})");
  EXPECT_THAT(written().update().unset(), ElementsAre("old", "older"));
  EXPECT_EQ(written().update().increment(), R"({"runs":2})");
  EXPECT_FALSE(written().update().has_expiry());
  Done({"update", "pumps", "a", "--merge", R"({"x":null})"});
  EXPECT_EQ(written().merge_patch().patch(), R"({"x":null})");
  EXPECT_THAT(Failed({"update", "pumps", "a"}).err, HasSubstr("it is not said what changes"));
  EXPECT_THAT(Failed({"update", "pumps", "a", "--set", "unit=bar"}).err,
              AllOf(HasSubstr("--set"), HasSubstr("not JSON"), HasSubstr(R"('unit="bar"')")));
  EXPECT_THAT(Failed({"update", "pumps", "a", "--increment", "runs"}).err, HasSubstr("is not FIELD=JSON"));
  EXPECT_EQ(Ctl({"update", "pumps", "a", "--merge", "{}", "--unset", "x"}).code, kUsage);
}

TEST_F(TableCommandsTest, DeleteSaysThatTheRowIsGone) {
  EXPECT_EQ(Done({"delete", "pumps", "a"}).out, "row a is not there now\n");
  EXPECT_TRUE(written().has_delete_());
}

TEST_F(TableCommandsTest, GetPrintsTheRow) {
  node_.Put("p-7", "{\"t\":\"\x7f\xc2\x9b\"}");
  EXPECT_EQ(Done({"get", "pumps", "p-7"}).out, "{\"t\":\"\\u007f\\u009b\"}\n")
      << "nothing steers the terminal";
  EXPECT_EQ(Done({"get", "pumps", "p-7", "-o", "json"}).out,
            std::string("{\"key\":\"p-7\",\"row\":{\"t\":\"\\u007f\\u009b\"},\"version\":\"") + kVersion +
                "\",\"expires_at_ms\":null}\n");
  EXPECT_THAT(Failed({"get", "pumps", "p-9"}).err, HasSubstr("table pumps has no row"));
}

TEST_F(TableCommandsTest, ScanGoesThroughAllPagesOrToItsLimit) {
  for (const char* key : {"a", "b", "c's", "d", "e"}) node_.Put(key, R"({"n":1})");
  CtlRun run = Done({"scan", "pumps"});
  EXPECT_EQ(run.out,
            "{\"key\":\"a\",\"row\":{\"n\":1}}\n{\"key\":\"b\",\"row\":{\"n\":1}}\n{\"key\":\"c's\",\"row\":{"
            "\"n\":1}}\n"
            "{\"key\":\"d\",\"row\":{\"n\":1}}\n{\"key\":\"e\",\"row\":{\"n\":1}}\n");
  EXPECT_EQ(run.err, "");
  run = Done({"scan", "pumps", "--limit", "2", "--prefix", "p", "--to", "z"});
  EXPECT_THAT(run.out, Not(HasSubstr("c's")));
  EXPECT_EQ(run.err, "to go on: --from 'c'\\''s'\n");
  EXPECT_EQ(node_.scan_request.prefix(), "p");
  EXPECT_EQ(node_.scan_request.to(), "z");
  run = Done({"scan", "pumps", "--from", "d"});
  EXPECT_THAT(run.out, AllOf(HasSubstr("\"d\""), HasSubstr("\"e\""), Not(HasSubstr("c's"))));
}

v1::QueryRowsResponse QueryPageOf(const std::string& key, const std::string& next) {
  v1::QueryRowsResponse page;
  page.add_rows()->set_key(key);
  page.mutable_rows(0)->set_json("{}");
  page.set_count(1);
  if (!next.empty()) page.set_next(next);
  return page;
}

TEST_F(TableCommandsTest, QuerySendsWhatIsWanted) {
  node_.query_pages = {QueryPageOf("a", "x?"), QueryPageOf("b", "")};
  CtlRun run = Done({"query", "pumps", R"({"bar":{"$gt":7}})", "--prefix", "p", "--from", "f", "--to", "t",
                     "--order", "a.b", "--descending", "--fields", "a,b.c", "--limit", "7"});
  EXPECT_EQ(run.out, "{\"key\":\"a\",\"row\":{}}\n{\"key\":\"b\",\"row\":{}}\n");
  EXPECT_EQ(run.err, "");
  ASSERT_EQ(node_.query_requests.size(), 2u);
  const v1::QueryRowsRequest& request = node_.query_requests[0];
  EXPECT_EQ(request.table(), "pumps");
  EXPECT_EQ(request.filter(), R"({"bar":{"$gt":7}})");
  EXPECT_EQ(request.prefix() + request.from() + request.to(), "pft");
  EXPECT_EQ(request.order(), "a.b");
  EXPECT_TRUE(request.descending());
  EXPECT_THAT(request.fields(), ElementsAre("a", "b.c"));
  EXPECT_EQ(request.rows_max(), 7u);
  EXPECT_EQ(node_.query_requests[1].after(), "x?");
  EXPECT_EQ(node_.query_requests[1].rows_max(), 6u);
}

TEST_F(TableCommandsTest, QuerySaysHowToGoOn) {
  node_.query_pages = {QueryPageOf("a", "x?")};
  EXPECT_EQ(Done({"query", "pumps", "{}", "--limit", "1"}).err, "to go on: --after eD8\n");
  Done({"query", "pumps", "{}", "--limit", "1", "--after", "eD8"});
  EXPECT_EQ(node_.query_requests[1].after(), "x?");
  EXPECT_THAT(Failed({"query", "pumps", "{}", "--after", "!"}).err, HasSubstr("--after"));
}

TEST_F(TableCommandsTest, QueryCountsAndExplains) {
  node_.query_pages = {QueryPageOf("a", "x"), QueryPageOf("b", "")};
  for (auto& page : node_.query_pages) page.clear_rows();
  EXPECT_EQ(Done({"query", "pumps", "{}", "--count"}).out, "2\n");
  EXPECT_TRUE(node_.query_requests[1].count());
  node_.query_requests.clear();
  node_.query_pages[0].set_plan(R"({"scan":true})");
  EXPECT_EQ(Done({"query", "pumps", "{}", "--explain"}).out, "{\"scan\":true}\n");
  ASSERT_EQ(node_.query_requests.size(), 1u);
  EXPECT_TRUE(node_.query_requests[0].explain());
  EXPECT_EQ(Ctl({"query", "pumps", "{}", "--explain", "--count"}).code, kUsage);
}

TEST_F(TableCommandsTest, IndexesAreMadeAndDropped) {
  EXPECT_EQ(Done({"index", "create", "pumps", "site.country", "--name", "country"}).out,
            "index country on site.country made: being built, see table describe\n");
  EXPECT_EQ(node_.create_index_request.table(), "pumps");
  EXPECT_EQ(node_.create_index_request.name(), "country");
  EXPECT_EQ(Done({"index", "drop", "pumps", "country"}).out, "index country dropped\n");
  EXPECT_EQ(node_.drop_index_request.table(), "pumps");
  EXPECT_EQ(node_.drop_index_request.name(), "country");
}

v1::WatchTableResponse PageOf(const std::string& key, const std::string& json, const std::string& next) {
  v1::WatchTableResponse page;
  page.set_next(next);
  if (key.empty()) return page;
  v1::RowChange& change = *page.add_changes();
  change.set_key(key);
  change.set_position(next);
  if (!json.empty()) change.mutable_row()->set_json(json);
  return page;
}

TEST_F(TableCommandsTest, WatchFollowsFromPositionToPosition) {
  node_.watch_pages = {PageOf("a", R"({"n":1})", "p1"), PageOf("", "", "p2"), PageOf("b", "", "p3")};
  const CtlRun run = Ctl({"watch", "pumps", "--prefix", "x"});
  EXPECT_EQ(run.out,
            "{\"key\":\"a\",\"row\":{\"n\":1},\"position\":\"p1\"}\n{\"key\":\"b\",\"row\":null,\"position\":"
            "\"p3\"}\n");
  ASSERT_EQ(node_.watch_requests.size(), 4u);
  EXPECT_EQ(node_.watch_requests[0].from(), "end");
  EXPECT_EQ(node_.watch_requests[0].prefix(), "x");
  EXPECT_GT(node_.watch_requests[0].max_wait_ms(), 0u);
  EXPECT_EQ(node_.watch_requests[3].from(), "p3");
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, AllOf(HasSubstr("too long ago"), HasSubstr("to resume: --from p3\n")));
}

TEST_F(TableCommandsTest, WatchStopsAtTheEndOrTheLimit) {
  node_.watch_pages = {PageOf("a", "{}", "p1"), PageOf("b", "{}", "p2")};
  node_.watch_pages[0].set_more(true);
  CtlRun run = Done({"watch", "pumps", "--no-follow"});
  EXPECT_THAT(run.out, AllOf(HasSubstr("\"a\""), HasSubstr("\"b\"")));
  EXPECT_EQ(node_.watch_requests[0].from(), "") << "all of it";
  EXPECT_EQ(node_.watch_requests[0].max_wait_ms(), 0u);
  node_.watch_requests.clear();
  run = Done({"watch", "pumps", "--from", "p0", "--max-changes", "1"});
  EXPECT_EQ(run.out, "{\"key\":\"a\",\"row\":{},\"position\":\"p1\"}\n");
  EXPECT_EQ(node_.watch_requests[0].from(), "p0");
  EXPECT_EQ(node_.watch_requests[0].rows_max(), 1u);
  EXPECT_EQ(run.err, "to resume: --from p1\n");
}

std::string Lines(int count) {
  std::string lines;
  for (int n = 1; n <= count; ++n) {
    lines += "{\"key\":\"k" + std::to_string(n) + "\",\"row\":{\"n\":" + std::to_string(n) + "}}\n";
  }
  return lines;
}

TEST_F(TableCommandsTest, WhatIsExportedCanBeImported) {
  const std::string lines =
      "{\"key\":\"a\",\"row\":{\"n\":1}}\n{\"key\":\"b\",\"row\":{},\"expires_at_ms\":5}\n";
  CtlRun run = Done({"import", "pumps"}, lines);
  EXPECT_EQ(run.err, "2 rows imported\n");
  run = Done({"export", "pumps"});
  EXPECT_EQ(run.out, lines);
  EXPECT_EQ(run.err, "2 rows exported\n");
  run = Done({"export", "pumps", "-o", "json"});
  EXPECT_THAT(run.out, HasSubstr("\"version\""));
  Done({"import", "pumps"}, run.out);
}

TEST_F(TableCommandsTest, ImportPutsSomeRowsAtATime) {
  Done({"import", "pumps", "--batch-rows", "10"}, Lines(25));
  EXPECT_EQ(node_.writes(), 3);
  EXPECT_EQ(node_.rows().size(), 25u);
  Done({"import", "pumps", "--skip", "20"}, Lines(25));
  EXPECT_EQ(node_.write_request.operations_size(), 5);
  EXPECT_EQ(node_.write_request.operations(0).key(), "k21");
  const CtlRun run = Done({"import", "pumps", "-o", "json"}, "\n" + Lines(2) + "  \n");
  EXPECT_EQ(boost::json::parse(run.out).at("lines"), 4) << "blank lines are lines";
  EXPECT_EQ(boost::json::parse(run.out).at("rows"), 2);
}

TEST_F(TableCommandsTest, ImportOverALinkSendsLessAtOnce) {
  const std::string text(10'000, 'x');
  std::string lines;
  for (int n = 0; n < 10; ++n)
    lines += "{\"key\":\"k" + std::to_string(n) + "\",\"row\":{\"t\":\"" + text + "\"}}\n";
  size_t largest = 0;
  node_.before_write = [&](int, const v1::WriteRowsRequest& request) {
    largest = std::max(largest, request.ByteSizeLong());
    return absl::OkStatus();
  };
  Done({"import", "pumps"}, lines);
  EXPECT_EQ(node_.writes(), 1);
  EXPECT_EQ(RunCtl(node_.address(), {"--edge", "rig-7", "table", "import", "pumps"}, lines).code, kDone);
  EXPECT_EQ(node_.edges_asked.back(), "rig-7");
  largest = 0;
  RunCtl(node_.address(), {"--edge", "rig-7", "table", "import", "pumps"}, lines);
  EXPECT_LT(largest, 64u << 10) << "what passes over a link";
}

TEST_F(TableCommandsTest, ALineThatIsWrongIsNamedAndThoseBeforeItAreIn) {
  for (const char* wrong :
       {"{", "[]", R"({"key":"x"})", R"({"row":{}})", R"({"key":1,"row":{}})", R"({"key":"x","row":[]})",
        R"({"key":"x","row":{},"ttl":5})", R"({"key":"x","row":{},"expires_at_ms":1.5})",
        R"({"key":"x","row":{"a":1,"a":2}})"}) {
    const CtlRun run = Failed({"import", "pumps"}, Lines(3) + wrong + "\n" + Lines(9));
    EXPECT_THAT(run.err, AllOf(HasSubstr("line 4: "), HasSubstr("3 rows imported\n"),
                               HasSubstr("3 lines are in; to resume: --skip 3\n")))
        << wrong;
  }
  EXPECT_EQ(node_.rows().size(), 3u);
}

TEST_F(TableCommandsTest, ARowThatTheNodeRefusesIsNamedAndThoseBeforeItAreIn) {
  node_.before_write = [](int, const v1::WriteRowsRequest& request) {
    for (const v1::RowOperation& operation : request.operations()) {
      if (operation.key() == "k5") {
        return MakeError(absl::StatusCode::kInvalidArgument, "row_too_large", "row \"k5\": too large");
      }
    }
    return absl::OkStatus();
  };
  const CtlRun run = Failed({"import", "pumps"}, Lines(9));
  EXPECT_THAT(run.err, AllOf(HasSubstr("line 5: row \"k5\": too large"), HasSubstr("4 rows imported\n"),
                             HasSubstr("to resume: --skip 4\n")));
  EXPECT_EQ(node_.rows().size(), 4u);
}

TEST_F(TableCommandsTest, ImportWaitsForANodeThatIsBusyButNotForEver) {
  node_.before_write = [](int call, const v1::WriteRowsRequest&) {
    if (call != 2) return absl::OkStatus();
    return MakeError(absl::StatusCode::kResourceExhausted, "overloaded", "busy", "", Retry::kYes);
  };
  const auto patient = [](World& world) { world.pause = [](absl::Duration) { return true; }; };
  CtlRun run = Ctl({"import", "pumps", "--batch-rows", "2"}, Lines(6), patient);
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(node_.writes(), 4);
  EXPECT_THAT(run.err, HasSubstr("trying again: busy"));
  node_.before_write = [](int, const v1::WriteRowsRequest& request) {
    if (request.operations(0).key() == "k1") return absl::OkStatus();
    return MakeError(absl::StatusCode::kResourceExhausted, "overloaded", "busy", "", Retry::kYes);
  };
  run = Ctl({"import", "pumps", "--batch-rows", "2", "--retry-for", "0"}, Lines(6), patient);
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err,
              AllOf(HasSubstr("lines 3..4: busy"), HasSubstr("2 lines are in; to resume: --skip 2\n")));
}

TEST_F(TableCommandsTest, AnInterruptedImportSaysHowToResume) {
  int looks = 0;
  const CtlRun run = Ctl({"import", "pumps", "--batch-rows", "2"}, Lines(100),
                         [&](World& world) { world.interrupted = [&] { return ++looks > 10; }; });
  const auto rows = node_.rows().size();
  EXPECT_GT(rows, 0u);
  EXPECT_LT(rows, 100u);
  EXPECT_THAT(run.err, HasSubstr("to resume: --skip " + std::to_string(rows) + "\n"));
}

TEST_F(TableCommandsTest, AnExportThatBreaksOffSaysWhereToResume) {
  for (const char* key : {"a", "b", "c d", "e"}) node_.Put(key, "{}");
  node_.before_scan = [](int call) {
    return call == 1 ? absl::OkStatus() : MakeError(absl::StatusCode::kDataLoss, "corrupt_row", "damaged");
  };
  const CtlRun run = Failed({"export", "pumps"});
  EXPECT_THAT(run.err, AllOf(HasSubstr("damaged"), HasSubstr("2 rows exported\n"),
                             HasSubstr("to resume: --from 'c d'\n")));
  EXPECT_THAT(Failed({"export", "nothing"}).err, Not(HasSubstr("to resume")));
}

TEST_F(TableCommandsTest, ANodeWithoutTablesIsSaid) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  v1::Admin::Service admin;
  builder.RegisterService(&admin);
  const auto server = builder.BuildAndStart();
  const CtlRun run = RunCtl("127.0.0.1:" + std::to_string(port), {"table", "list"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("does not offer this"));
}

v1::WriteStamp StampAt(int64_t ms, char store, const std::string& node) {
  v1::WriteStamp stamp;
  stamp.set_time_ms(ms);
  stamp.set_store(std::string(16, store));
  stamp.set_node(node);
  return stamp;
}

TEST_F(TableCommandsTest, ConflictsAreListedWithBothValuesAndStamps) {
  EXPECT_EQ(Done({"conflicts", "pumps"}).out, "0 shown of 0 that this node has listed\n");
  EXPECT_EQ(node_.conflicts_request.max(), 100u);
  node_.conflicts.set_listed(1007);
  v1::TableConflict& conflict = *node_.conflicts.add_conflicts();
  conflict.set_key("p-7\x1b[31m");
  conflict.set_kind("overwritten");
  conflict.set_field("bar");
  conflict.set_winning_value("9");
  *conflict.mutable_winner() = StampAt(1'772'366'400'123, '\x22', "core-1");
  conflict.set_losing_value(R"("8")");
  *conflict.mutable_loser() = StampAt(1'772'366'400'001, '\x11', "");
  conflict.mutable_loser()->set_counter(3);
  conflict.set_listed_ms(1'772'366'500'000);
  v1::TableConflict& refused = *node_.conflicts.add_conflicts();
  refused.set_key("site/b/1");
  refused.set_kind("not_allowed");
  *refused.mutable_loser() = StampAt(1'772'366'400'001, '\x11', "rig-7");
  EXPECT_EQ(Done({"conflicts", "pumps", "--max", "7"}).out,
            "2026-03-01 12:01:40.000Z  row p-7\\x1b[31m, field bar: overwritten\n"
            "  what happened: two nodes wrote the field apart; the newer write won\n"
            "  kept: 9, written 2026-03-01 12:00:00.123Z by core-1 (store 22222222222222222222222222222222)\n"
            "  lost: \"8\", written 2026-03-01 12:00:00.001Z #3 by store 11111111111111111111111111111111\n"
            "1970-01-01 00:00:00.000Z  row site/b/1: not_allowed\n"
            "  what happened: the edge may not write a row with this key; it was not taken\n"
            "  lost: nothing, written 2026-03-01 12:00:00.001Z by rig-7 (store "
            "11111111111111111111111111111111)\n"
            "2 shown of 1007 that this node has listed\n");
  EXPECT_EQ(node_.conflicts_request.max(), 7u);
  const boost::json::value json = boost::json::parse(Done({"conflicts", "pumps", "-o", "json"}).out);
  EXPECT_EQ(json.at("listed"), 1007);
  EXPECT_EQ(json.at("conflicts").at(0).at("kept").at("value"), "9");
  EXPECT_EQ(json.at("conflicts").at(0).at("lost").at("counter"), 3);
  EXPECT_TRUE(json.at("conflicts").at(1).at("kept").is_null());
  EXPECT_THAT(Failed({"conflicts", "nothing"}).err, HasSubstr("there is no table nothing"));
  EXPECT_EQ(Ctl({"conflicts", "pumps", "--max", "0"}).code, kUsage);
}

TEST_F(TableCommandsTest, QuarantineShowsWhatWaitsAndWhatTheRowHasNow) {
  node_.quarantined.set_quarantined(3);
  v1::QuarantinedChange& change = *node_.quarantined.add_changes();
  change.set_key("p-7");
  change.set_due_ms(1'772'370'000'000);
  change.set_peer(std::string(16, '\x11'));
  change.set_peer_node("rig-7");
  v1::QuarantinedPart& put = *change.add_parts();
  put.set_what("put");
  *put.mutable_stamp() = StampAt(1'772'373'600'000, '\x11', "rig-7");
  v1::QuarantinedPart& set = *change.add_parts();
  set.set_what("set");
  set.set_field("bar");
  set.set_value("9");
  *set.mutable_stamp() = StampAt(1'772'373'600'000, '\x11', "rig-7");
  set.set_value_now("8");
  *set.mutable_stamp_now() = StampAt(1'772'366'400'000, '\x22', "");
  change.set_parts_left_out(2);
  const std::string by = "by rig-7 (store 11111111111111111111111111111111)\n";
  EXPECT_EQ(Done({"quarantine", "pumps"}).out,
            "2026-03-01 13:00:00.000Z  row p-7: waits until then, from rig-7 (store "
            "11111111111111111111111111111111)\n"
            "  waits: put, written 2026-03-01 14:00:00.000Z " +
                by +
                "  now:   nothing\n"
                "  waits: set bar 9, written 2026-03-01 14:00:00.000Z " +
                by +
                "  now:   8, written 2026-03-01 12:00:00.000Z by store 22222222222222222222222222222222\n"
                "  and 2 parts more\n"
                "1 shown of 3 that wait for their time\n");
  const boost::json::value json = boost::json::parse(Done({"quarantine", "pumps", "-o", "json"}).out);
  EXPECT_EQ(json.at("changes").at(0).at("parts").at(1).at("now").at("value"), "8");
  EXPECT_TRUE(json.at("changes").at(0).at("parts").at(0).at("now").is_null());
}

TEST_F(TableCommandsTest, WhatWaitsIsDiscardedByRowOrAltogether) {
  EXPECT_EQ(Done({"quarantine", "pumps", "--discard", "p-7"}).out,
            "3 changes discarded, and listed as conflicts\n");
  EXPECT_EQ(node_.discard_request.table(), "pumps");
  EXPECT_EQ(node_.discard_request.key(), "p-7");
  Done({"quarantine", "pumps", "--discard-all"});
  EXPECT_FALSE(node_.discard_request.has_key());
  EXPECT_EQ(Ctl({"quarantine", "pumps", "--discard-all", "--discard", "p-7"}).code, kUsage);
}

TEST_F(TableCommandsTest, ADamagedRowIsReplacedOnlyWhenThatIsSaid) {
  Done({"put", "pumps", "p-7", "{}"});
  EXPECT_FALSE(written().replace_damaged());
  Done({"put", "pumps", "p-7", "{}", "--replace-damaged"});
  EXPECT_TRUE(written().replace_damaged());
  Done({"delete", "pumps", "p-7", "--replace-damaged"});
  EXPECT_TRUE(written().replace_damaged());
  EXPECT_TRUE(written().has_delete_());
  EXPECT_EQ(Ctl({"update", "pumps", "p-7", "--set", "x=1", "--replace-damaged"}).code, kUsage);
}

TEST_F(TableCommandsTest, DamagedBytesAreShownWithoutAStamp) {
  v1::TableConflict& conflict = *node_.conflicts.add_conflicts();
  conflict.set_kind("damaged");
  conflict.set_key("p-7");
  conflict.set_losing_value(R"("0a1b")");
  EXPECT_THAT(Done({"conflicts", "pumps"}).out, HasSubstr("  lost: \"0a1b\"\n"));
  const boost::json::value json = boost::json::parse(Done({"conflicts", "pumps", "-o", "json"}).out);
  EXPECT_EQ(json.at("conflicts").at(0).at("lost").at("value"), "\"0a1b\"");
}

TEST_F(TableCommandsTest, ScansNameTheDamagedRowsThatTheyLeaveOut) {
  node_.Put("a", "{}");
  node_.damaged_keys = {"b\x1b"};
  EXPECT_EQ(Done({"scan", "pumps"}).err, "");
  EXPECT_FALSE(node_.scan_request.past_damaged());
  for (const char* verb : {"scan", "export"}) {
    const CtlRun run = Done({verb, "pumps", "--skip-damaged"});
    EXPECT_TRUE(node_.scan_request.past_damaged());
    EXPECT_THAT(run.err, HasSubstr("row b\\x1b is damaged, and is left out\n"));
    EXPECT_THAT(run.out, HasSubstr(R"("key":"a")"));
  }
}

TEST_F(TableCommandsTest, RestampSaysHowManyRowsThereWere) {
  node_.restamped.set_rows(12);
  EXPECT_EQ(Done({"restamp"}).out, "12 rows stamped again\n");
  node_.restamped.set_unread_rows(1);
  EXPECT_EQ(Done({"restamp"}).out, "12 rows stamped again\n1 rows are damaged and were left out\n");
}

}  // namespace
}  // namespace selvage::ctl
