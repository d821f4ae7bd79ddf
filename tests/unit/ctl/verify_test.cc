#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <map>
#include <set>
#include <string>

#include "fabric/admin/error_metadata.h"
#include "fabric/base/error.h"
#include "fabric/table/rows_digest.h"
#include "fabric/table/table_types.h"
#include "selvage/v1/table.grpc.pb.h"
#include "tests/unit/ctl/fake_admin.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using testing::HasSubstr;

/// The rows of tables: of each its JSON by key, with versions that follow from it.
class FakeRows final : public v1::Tables::Service {
 public:
  std::map<std::string, v1::TableDefinition> tables;
  std::map<std::string, std::string> rows;
  std::set<std::string> damaged;  // keys of rows that cannot be had
  uint64_t quarantined = 0;

  void Define(const std::string& name, v1::TableDirection direction, const std::string& prefix = "") {
    tables[name].set_name(name);
    tables[name].set_direction(direction);
    tables[name].mutable_settings()->set_prefix(prefix);
  }
  static std::string Version(const std::string& json) { return (json + std::string(16, '.')).substr(0, 16); }

 private:
  grpc::Status ListTables(grpc::ServerContext*, const v1::ListTablesRequest*,
                          v1::ListTablesResponse* response) override {
    for (const auto& [name, table] : tables) *response->add_tables() = table;
    return grpc::Status::OK;
  }
  grpc::Status DescribeTable(grpc::ServerContext*, const v1::DescribeTableRequest*,
                             v1::DescribeTableResponse* response) override {
    response->set_quarantined(quarantined);
    return grpc::Status::OK;
  }
  grpc::Status GetRow(grpc::ServerContext* context, const v1::GetRowRequest* request,
                      v1::GetRowResponse* response) override {
    if (damaged.contains(request->key())) return ToGrpc(table::DamagedRow(request->key()), *context);
    if (rows.contains(request->key())) response->mutable_row()->set_json(rows.at(request->key()));
    return grpc::Status::OK;
  }
  grpc::Status DigestRows(grpc::ServerContext*, const v1::DigestRowsRequest* request,
                          v1::DigestRowsResponse* response) override {
    table::RowsDigest digest;
    for (const auto& [key, json] : rows) {
      if (key < request->from() || (!request->to().empty() && key >= request->to())) continue;
      if (!key.starts_with(request->prefix())) continue;
      digest.Add(key, *table::RowDigest::FromBytes(Version(json)));
      if (!request->versions()) continue;
      v1::RowVersion& version = *response->add_versions();
      version.set_key(key);
      version.set_version(Version(json));
    }
    response->set_digest(digest.bytes());
    response->set_rows(digest.rows());
    return grpc::Status::OK;
  }
};

class VerifyTest : public testing::Test {
 protected:
  VerifyTest() {
    core_.status.set_node("core-1");
    core_.status.set_role("core");
    core_.AddStream("commands", v1::DOWN, 1, {"rig-7"});
    core_.AddStream("news", v1::DOWN_SHARED, 1);
    core_.AddStream("sensors", v1::UP, 1, {"rig-7", "rig-8"});
    edge_.AddStream("commands", v1::DOWN, 1);
    edge_.AddStream("news", v1::DOWN_SHARED, 1);
    edge_.AddStream("scratch", v1::LOCAL, 1);
    edge_.AddStream("sensors", v1::UP, 1);
    for (int i = 0; i < 2500; ++i) Both("sensors", {fmt::format("{}", i), "x"});
    core_.AppendValues("news", {"n"});
    edge_.AppendValues("news", {"n"});
    core_.Start();
    edge_.Start();
  }

  void Both(const std::string& stream, const std::vector<std::string>& values) {
    core_.AppendValues(stream, values, "rig-7");
    edge_.AppendValues(stream, values);
  }

  CtlRun Verify(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"verify", "--edge-address", edge_.address()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCtl(core_.address(), arguments);
  }

  FakeAdmin core_;
  FakeAdmin edge_;
};

TEST_F(VerifyTest, EqualCopies) {
  edge_.AppendValues("sensors", {"not sent yet"});
  CtlRun run = Verify();
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(run.out,
            "STREAM    PARTITION  OFFSETS  ENTRIES  RECORDS  CORE END  EDGE END  RESULT\n"
            "commands          0  -              0        0         0         0  equal\n"
            "news              0  0..0           1        1         1         1  equal\n"
            "sensors           0  0..4999     2500     5000      5000      5001  equal\n"
            "edge rig-7: 3 logs equal, 0 different, 0 not compared; 2501 entries, 5001 records alike\n");
}

TEST_F(VerifyTest, NamesTheFirstEntryThatDiffers) {
  edge_.Edit("sensors", "", [](FakeAdmin::Log& log) { log.entries[1200].mutable_batch()->back() ^= 1; });
  CtlRun run = Verify({"--stream", "sensors", "-o", "json"});
  EXPECT_EQ(run.code, kFailed);
  boost::json::value json = boost::json::parse(run.out);
  EXPECT_EQ(json.at("result"), "different");
  EXPECT_EQ(json.at("logs").as_array().size(), 1u);
  EXPECT_EQ(json.at("logs").at(0).at("entries"), 1200);
  EXPECT_THAT(std::string(json.at("logs").at(0).at("difference").as_string()),
              HasSubstr("at offset 2400 the core has a batch 2400..2401"));
}

TEST_F(VerifyTest, AGapAtOneEndIsReportedAndNoDamage) {
  core_.AppendGap("sensors", 5010, "lost_with_disk", "rig-7");
  edge_.AppendValues("sensors", std::vector<std::string>(10, "kept"));
  CtlRun run = Verify({"--stream", "sensors"});
  EXPECT_EQ(run.code, kDone);
  EXPECT_THAT(run.out,
              HasSubstr("gap: sensors/0: the core lacks offsets 5000..5009, which the edge holds\n"));
}

TEST_F(VerifyTest, DamageThatANodeFindsItselfIsADifference) {
  core_.digest_error =
      MakeError(absl::StatusCode::kDataLoss, "corrupt_entry", "the entry at offset 7 is corrupt");
  CtlRun run = Verify({"--stream", "sensors"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.out, HasSubstr("different: the entry at offset 7 is corrupt"));
}

TEST_F(VerifyTest, WhatIsOnlyAtOneEndCannotBeCompared) {
  edge_.AddStream("local-made", v1::UP, 1);
  CtlRun run = Verify();
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.out, HasSubstr("not compared: the core has no such stream"));
  EXPECT_THAT(run.out, HasSubstr("3 logs equal, 0 different, 1 not compared"));
}

TEST_F(VerifyTest, ErrorsMeanNotCompared) {
  CtlRun run = Verify({"--edge", "rig-8"});
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.err, HasSubstr(" is edge rig-7, not rig-8"));
  run = Verify({"--stream", "nothing"});
  EXPECT_EQ(run.code, kNotCompared);
  run = RunCtl(edge_.address(), {"verify", "--edge-address", edge_.address()});
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.err, HasSubstr("is the edge rig-7; hint: --address is the core's"));
  edge_.Stop();
  run = Verify();
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.err, HasSubstr("no connection to " + edge_.address()));
}

class VerifyTablesTest : public testing::Test {
 protected:
  VerifyTablesTest() {
    core_.status.set_node("core-1");
    core_.status.set_role("core");
    core_.others = {&at_core_};
    edge_.others = {&at_edge_};
    for (FakeRows* rows : {&at_core_, &at_edge_}) {
      rows->Define("pumps", v1::TABLE_BOTH, "site/${edge}/");
      rows->Define("scratch", v1::TABLE_LOCAL);
      rows->rows = {{"site/rig-7/1", R"({"bar":7})"}, {"site/rig-7/2", R"({"bar":8})"}};
    }
    at_core_.rows["site/rig-8/1"] = "{}";
    core_.Start();
    edge_.Start();
  }
  CtlRun Verify(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"verify", "--edge-address", edge_.address()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCtl(core_.address(), arguments);
  }

  FakeRows at_core_;
  FakeRows at_edge_;
  FakeAdmin core_;
  FakeAdmin edge_;
};

TEST_F(VerifyTablesTest, EqualRowsOfTheEdgesPrefix) {
  const CtlRun run = Verify();
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(run.out,
            "TABLE  PREFIX       ROWS ALIKE  RESULT\n"
            "pumps  site/rig-7/           2  equal\n"
            "edge rig-7: 1 tables equal, 0 different, 0 not compared; 2 rows alike\n");
}

TEST_F(VerifyTablesTest, TheFirstRowThatDiffersIsShownFromBothEnds) {
  at_edge_.rows["site/rig-7/2"] = R"({"bar":9})";
  at_core_.quarantined = 3;
  CtlRun run = Verify({"--table", "pumps"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.out, HasSubstr("difference: table pumps, row site/rig-7/2: the core has version "));
  EXPECT_THAT(run.out, HasSubstr(R"(: {"bar":8}; the edge has version )"));
  EXPECT_THAT(run.out, HasSubstr(R"(: {"bar":9})"));
  EXPECT_THAT(run.out, HasSubstr("3 changes wait in quarantine"));
  at_edge_.rows.erase("site/rig-7/1");
  run = Verify({"-o", "json"});
  EXPECT_EQ(run.code, kFailed);
  const boost::json::value json = boost::json::parse(run.out);
  EXPECT_EQ(json.at("result"), "different");
  const boost::json::value& found = json.at("tables").at(0).at("difference");
  EXPECT_EQ(found.at("key"), "site/rig-7/1");
  EXPECT_EQ(found.at("core").at("row"), R"({"bar":7})");
  EXPECT_TRUE(found.at("edge").is_null());
}

TEST_F(VerifyTablesTest, ADamagedRowIsNamedWithItsWayOut) {
  at_edge_.rows["site/rig-7/2"] = "another version";
  at_edge_.damaged = {"site/rig-7/2"};
  const CtlRun run = Verify({"--table", "pumps"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.out, HasSubstr("difference: table pumps, row site/rig-7/2: the core has version "));
  EXPECT_THAT(run.out, HasSubstr("  the edge: "));
  EXPECT_THAT(run.out, HasSubstr("is damaged"));
  EXPECT_THAT(run.out, HasSubstr("--replace-damaged"));
}

TEST_F(VerifyTablesTest, WhatManyEdgesWriteAndNoneGetsMayDiffer) {
  for (FakeRows* rows : {&at_core_, &at_edge_}) {
    rows->tables.clear();
    rows->Define("seen", v1::TABLE_UP);
  }
  CtlRun run = Verify();
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.out, HasSubstr("not compared: row site/rig-8/1 differs, which it may"));
}

TEST_F(VerifyTablesTest, WhatIsAtOneEndOnlyOrNowhereIsNotCompared) {
  at_edge_.Define("own", v1::TABLE_UP);
  CtlRun run = Verify();
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.out, HasSubstr("the core has no such table"));
  run = Verify({"--table", "scratch"});
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.err, HasSubstr("there is no table \"scratch\" between the two"));
  EXPECT_EQ(Verify({"--table", "pumps", "--stream", "sensors"}).code, kUsage);
}

}  // namespace
}  // namespace selvage::ctl
