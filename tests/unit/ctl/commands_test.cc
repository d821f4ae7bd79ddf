#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "tests/unit/ctl/fake_admin.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class CommandsTest : public testing::Test {
 protected:
  CommandsTest() { node_.Start(); }
  CtlRun Ctl(std::vector<std::string> arguments) { return RunCtl(node_.address(), std::move(arguments)); }

  FakeAdmin node_;
};

TEST_F(CommandsTest, StreamCreateSendsTheWholeDefinition) {
  CtlRun run =
      Ctl({"stream", "create", "sensors", "--direction", "down-shared", "--partitions", "3", "--retention",
           "36h", "--retention-bytes", "10GiB", "--priority", "9", "--start-at", "latest"});
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(run.out, "stream sensors created: down-shared, 3 partitions, generation 4\n");
  const v1::StreamDefinition& sent = node_.create_request.definition();
  EXPECT_EQ(sent.name(), "sensors");
  EXPECT_EQ(sent.direction(), v1::DOWN_SHARED);
  EXPECT_EQ(sent.partitions(), 3);
  EXPECT_EQ(sent.settings().retention_ms(), 36 * 3600000);
  EXPECT_EQ(sent.settings().retention_bytes(), 10ll << 30);
  EXPECT_EQ(sent.settings().priority(), 9u);
  EXPECT_EQ(sent.settings().start_at(), v1::LATEST);
  EXPECT_TRUE(sent.settings().keep_after_ack());
}

TEST_F(CommandsTest, WhatCanBeNoEdgeIsNotAskedFor) {
  for (const std::string edge : {"rig\n7", "caf\xc3\xa9", "a b"}) {
    CtlRun run = Ctl({"--edge", edge, "status"});
    EXPECT_EQ(run.code, kFailed) << edge;
    EXPECT_THAT(run.err, HasSubstr("is not the id of an edge"));
  }
}

TEST_F(CommandsTest, StreamSetSendsOnlyWhatIsGiven) {
  CtlRun run = Ctl({"stream", "set", "sensors", "--retention", "none", "--if-generation", "7"});
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_THAT(node_.set_request.fields(), ElementsAre("retention_ms"));
  EXPECT_EQ(node_.set_request.settings().retention_ms(), 0);
  EXPECT_EQ(node_.set_request.if_generation(), 7u);
  run = Ctl({"stream", "set", "sensors"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("no setting is given"));
}

TEST_F(CommandsTest, StreamListIsATableOrJson) {
  node_.AddStream("sensors", v1::UP, 2);
  CtlRun run = Ctl({"stream", "list"});
  EXPECT_EQ(run.out,
            "STREAM   DIRECTION  PARTITIONS  RETENTION  ON FULL      PRIORITY  WEIGHT  GENERATION\n"
            "sensors  up                  2  none       unspecified         0       0           3\n");
  run = Ctl({"stream", "list", "-o", "json"});
  boost::json::value json = boost::json::parse(run.out);
  EXPECT_EQ(json.at("streams").at(0).at("name"), "sensors");
  EXPECT_EQ(json.at("streams").at(0).at("direction"), "up");
}

TEST_F(CommandsTest, StreamDescribeShowsDefinitionAndLogs) {
  v1::StreamDefinition& definition = *node_.described.mutable_definition();
  definition.set_name("sensors");
  definition.set_direction(v1::UP);
  definition.set_partitions(1);
  definition.mutable_settings()->set_retention_ms(7 * 86400000);
  definition.mutable_settings()->set_retention_bytes(10ll << 30);
  definition.mutable_settings()->set_on_full(v1::DROP_OLDEST);
  definition.mutable_settings()->set_link_compression(v1::ZSTD);
  definition.mutable_settings()->set_start_at(v1::EARLIEST);
  v1::LogSummary& log = *node_.described.add_logs();
  log.set_edge("rig-7");
  log.set_slot(4);
  log.set_stream("sensors");
  log.set_topic_partition(4);
  log.set_end(12);
  log.set_bytes(2048);
  log.set_acked(-1);
  log.set_log_id(std::string(16, '\xab'));
  log.set_superseded(true);
  EXPECT_EQ(
      Ctl({"stream", "describe", "sensors"}).out,
      "stream:           sensors\n"
      "direction:        up\n"
      "partitions:       1\n"
      "generation:       provisional\n"
      "retention:        7d, 10.0 GiB\n"
      "on full:          drop-oldest\n"
      "priority:         0\n"
      "weight:           0\n"
      "link compression: zstd\n"
      "keep after ack:   no\n"
      "start at:         earliest\n"
      "cleanup:          delete\n"
      "detached:         no\n"
      "\n"
      "EDGE   SLOT  STREAM   PARTITION  TOPIC PARTITION  START  END     SIZE  ACKNOWLEDGED  LEADER EPOCH  LOG"
      "       NOTE\n"
      "rig-7     4  sensors          0                4      0   12  2.0 KiB             -             0  "
      "abababab"
      "  superseded\n");
}

TEST_F(CommandsTest, AStreamIsRenamed) {
  EXPECT_EQ(Ctl({"stream", "rename", "plant.alarms", "plant-alarms"}).out,
            "stream plant.alarms is called plant-alarms now\n");
  EXPECT_EQ(node_.rename_request.stream(), "plant.alarms");
  EXPECT_EQ(node_.rename_request.to(), "plant-alarms");
}

TEST_F(CommandsTest, EdgesAreListedLabelledAndSet) {
  v1::EdgeSummary& edge = *node_.edges.add_edges();
  edge.set_edge("rig-7");
  edge.set_connected(true);
  edge.set_slot(2);
  (*edge.mutable_labels())["site"] = "nord";
  edge.set_max_rate(8000);
  edge.set_last_seen_ms(1772366400000);
  edge.set_spec_generation(5);
  edge.mutable_status()->set_spec_generation(4);
  edge.mutable_status()->set_version("0.1.0");
  edge.mutable_status()->set_store_bytes(1 << 20);
  edge.mutable_status()->set_store_budget(1 << 30);
  EXPECT_EQ(
      Ctl({"edge", "list", "--label", "site=nord"}).out,
      "EDGE   STATE      SLOT  LAST SEEN             VERSION               STORE  GENERATION   MAX RATE  "
      "LABELS\n"
      "rig-7  connected     2  2026-03-01 12:00:00Z  0.1.0    1.0 MiB of 1.0 GiB         4/5  64 kbit/s  "
      "site=nord\n");
  EXPECT_EQ(node_.list_edges_request.labels().at("site"), "nord");

  EXPECT_EQ(Ctl({"edge", "label", "rig-7", "site=south", "old-"}).code, kDone);
  EXPECT_EQ(node_.set_edge_request.set_labels().at("site"), "south");
  EXPECT_THAT(node_.set_edge_request.remove_labels(), ElementsAre("old"));
  EXPECT_FALSE(node_.set_edge_request.set_max_rate());

  EXPECT_EQ(Ctl({"edge", "set", "rig-7", "--max-rate", "64kbit/s"}).code, kDone);
  EXPECT_TRUE(node_.set_edge_request.set_max_rate());
  EXPECT_EQ(node_.set_edge_request.max_rate(), 8000u);
}

TEST_F(CommandsTest, AnUnknownEdgeIsAnError) {
  CtlRun run = Ctl({"edge", "describe", "rig-9"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("the core has never seen an edge \"rig-9\""));
}

TEST_F(CommandsTest, LossesAndAlarms) {
  v1::Loss& loss = *node_.losses.add_losses();
  loss.set_edge("rig-7");
  loss.set_stream("sensors");
  loss.set_from(40);
  loss.set_to(60);
  loss.set_reason("dropped_for_space");
  loss.set_recorded_ms(1772366400000);
  EXPECT_EQ(Ctl({"loss", "list"}).out,
            "EDGE   STREAM   PARTITION  FIRST  LAST  OFFSETS  REASON             RECORDED\n"
            "rig-7  sensors          0     40    59       20  dropped_for_space  2026-03-01 12:00:00Z\n");

  v1::AlarmDocument& alarm = *node_.alarms.add_alarms();
  alarm.set_id(3);
  alarm.set_kind("clone");
  alarm.set_subject("rig-7");
  alarm.set_message("two stores");
  alarm.set_hint("resolve with --action keep");
  alarm.set_count(2);
  alarm.set_needs_operator(true);
  alarm.set_origin("core-1");
  CtlRun run = Ctl({"alarm", "list"});
  EXPECT_EQ(run.out,
            "ID  STATE              KIND   SUBJECT  ORIGIN  COUNT  FIRST  LAST  WHAT\n"
            " 3  needs an operator  clone  rig-7    core-1      2  -      -     two stores; resolve with "
            "--action keep\n");
  run = Ctl({"alarm", "resolve", "3", "--action", "keep"});
  EXPECT_EQ(run.out, "alarm 3 (clone of rig-7): resolved\n");
  EXPECT_EQ(node_.resolve_request.action(), "keep");
}

TEST_F(CommandsTest, StatusOnceAndWatched) {
  node_.status.set_version("0.1.0");
  node_.status.set_uptime_ms(3600000);
  node_.status.set_store_bytes(1 << 20);
  node_.status.set_volume_free(1ull << 32);
  node_.status.set_link_detail("no route to core:7443");
  const std::string head =
      "edge rig-7 (0.1.0), up 1h; store 1.0 MiB, 4.0 GiB free on its volume; link down: no route to "
      "core:7443; "
      "0 open alarms\n";
  CtlRun run = Ctl({"status"});
  EXPECT_THAT(run.out, HasSubstr(head));

  int rounds = 0;
  std::vector<absl::Duration> pauses;
  run = RunCtl(node_.address(), {"status", "--watch=5s"}, "", [&](World& world) {
    world.out_is_terminal = true;
    world.pause = [&](absl::Duration pause) {
      pauses.push_back(pause);
      return ++rounds < 3;
    };
  });
  EXPECT_THAT(pauses, ElementsAre(absl::Seconds(5), absl::Seconds(5), absl::Seconds(5)));
  EXPECT_EQ(run.out.find("\x1b[H\x1b[2J"), 0u);
  EXPECT_NE(run.out.find("\x1b[H\x1b[2J", 1), std::string::npos);

  run = RunCtl(node_.address(), {"status", "--watch", "-o", "json"}, "", [&](World& world) {
    world.pause = [](absl::Duration pause) { return pause != absl::Seconds(2); };
  });
  EXPECT_EQ(boost::json::parse(run.out).at("node"), "rig-7");
}

TEST_F(CommandsTest, WrongUsageIsToldFromErrors) {
  EXPECT_EQ(Ctl({}).code, kUsage);
  EXPECT_EQ(Ctl({"stream"}).code, kUsage);
  EXPECT_EQ(Ctl({"stream", "create", "x", "--direction", "sideways", "--partitions", "1"}).code, kUsage);
  // No bound that nobody would write.
  CtlRun none = Ctl({"stream", "create", "x", "--direction", "up", "--partitions", "0"});
  EXPECT_EQ(none.code, kUsage);
  EXPECT_THAT(none.err, AllOf(HasSubstr("--partitions"), HasSubstr("1024"), Not(HasSubstr("e+"))));
  for (const auto& args : {std::vector<std::string>{"stream", "produce", "x", "--rate", "0"},
                           std::vector<std::string>{"stream", "tail", "x", "--max-records", "-1"}}) {
    none = Ctl(args);
    EXPECT_EQ(none.code, kUsage);
    EXPECT_THAT(none.err, AllOf(HasSubstr(args[3]), Not(HasSubstr("e+"))));
  }
  CtlRun run = Ctl({"stream", "set", "x", "--priority", "10"});
  EXPECT_EQ(run.code, kUsage);
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, HasSubstr("--priority"));
  // Not a view without windows, which is what a node would take it for.
  run =
      Ctl({"view", "create", "v", "--stream", "s", "--group-by", "a", "--column", "count", "--window", "0s"});
  EXPECT_EQ(run.code, kUsage);
  EXPECT_THAT(run.err, HasSubstr("--window"));
  EXPECT_EQ(Ctl({"view", "create", "v", "--stream", "s", "--newest", "--keep", "1h"}).code, kUsage);
  run = Ctl({"--help"});
  EXPECT_EQ(run.code, kDone);
  EXPECT_THAT(run.out, HasSubstr("Exit codes:"));
}

TEST_F(CommandsTest, ANodeThatIsAwayIsNamed) {
  std::string address = node_.address();
  node_.Stop();
  CtlRun run = RunCtl(address, {"stream", "list"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("error: no connection to " + address));
  EXPECT_THAT(run.err, HasSubstr("; a retry helps\n"));
}

TEST_F(CommandsTest, WhatANodeDoesNotOfferIsSaid) {
  CtlRun run = Ctl({"origin", "list"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("does not offer this"));
}

}  // namespace
}  // namespace selvage::ctl
