#include "fabric/admin/node_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "tests/support/admit.h"
#include "tests/support/paths.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;
using testing::Not;

CertificateView Certificate() {
  return {absl::FromUnixSeconds(1'600'000'000), true};
}

void MakeTable(EdgeNode& edge, const std::string& name) {
  v1::CreateTableRequest request;
  request.mutable_definition()->set_name(name);
  request.mutable_definition()->set_direction(v1::TABLE_BOTH);
  EXPECT_TRUE(edge.Ask(&TablesStub::CreateTable, request).ok());
}

TEST(NodeMetricsTest, AnEdgeShowsItsLogsFlowsAndStore) {
  EdgeNode edge({.disk = {.budget = 1 << 20, .reserve = 0}});
  const NodeMetrics metrics(edge.metrics(), NodeMetrics::PartsOf(edge.node()),
                            edge.admin().MetricSources(Certificate));
  ASSERT_TRUE(edge.state().CreateStream(Definition("temperature", v1::UP)).ok());
  edge.TakeFromCore(Definition("commands", v1::DOWN), {Batch({"open"})});
  // Nobody waits for an alarm to be stored; what is produced after it is stored after it.
  edge.node().alarms().Report({"clock_skew", "main", "an hour", "", false});
  ASSERT_TRUE(edge.Produce(Address("temperature"), Batch({"a", "b"})).ok());
  edge.node().budget().Measured(1000, 5000);
  edge.link = {true, "core:7443"};

  const std::string text = edge.metrics().Text();
  const std::string own = R"({edge="rig-7",partition="0",stream="temperature"})";
  EXPECT_THAT(text, HasSubstr("selvage_log_end_offset" + own + " 2\n"));
  EXPECT_THAT(text, HasSubstr("selvage_log_start_offset" + own + " 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_log_bytes" + own));
  EXPECT_THAT(text, HasSubstr(R"(selvage_log_end_offset{edge="@core",partition="0",stream="commands"} 1)"));
  EXPECT_THAT(text, HasSubstr("selvage_flow_lag_records" + own + " 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("selvage_flow_lag_bytes" + own + " 0\n")));
  EXPECT_THAT(text, HasSubstr("selvage_flow_lag_seconds" + own));
  EXPECT_THAT(
      text,
      HasSubstr(R"(selvage_flow_state{edge="rig-7",partition="0",state="offline",stream="temperature"} 1)"));
  EXPECT_THAT(text, HasSubstr("selvage_link_up{edge=\"rig-7\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("selvage_links 1\n"));
  EXPECT_THAT(text, HasSubstr("selvage_store_file_bytes 1000\n"));
  EXPECT_THAT(text, HasSubstr("selvage_store_budget_bytes 1048576\n"));
  EXPECT_THAT(text, HasSubstr("selvage_volume_free_bytes 5000\n"));
  EXPECT_THAT(text, HasSubstr("selvage_alarms_open{node=\"rig-7\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("selvage_certificate_not_after_seconds 1600000000\n"));
  EXPECT_THAT(text, Not(HasSubstr("selvage_commit_groups_total 0\n")));
  EXPECT_THAT(text, HasSubstr("selvage_commit_queue_bytes 0\n"));
}

TEST(NodeMetricsTest, TheCoreShowsEachEdgeOnce) {
  CoreNode core;
  const NodeMetrics metrics(core.metrics(), NodeMetrics::PartsOf(core.node()), core.admin().MetricSources([] {
    return CertificateView{std::nullopt, false};
  }));
  const Admission edge = core.Join("rig-7");
  core.Replicate(edge, Definition("sensors", v1::UP), 0, {Batch({"a"})});
  core.Replicate(edge, Definition("sensors", v1::UP), 0, {Batch({"b", "c"})});  // supersedes the first
  Admission former = edge;
  former.slot = Slot(edge.slot.value() + 7);  // of a store that was replaced
  core.Replicate(former, Definition("sensors", v1::UP), 0, {});
  v1::EdgeStatus status;
  status.add_alarms();
  test::Report(core.fleet(), "rig-7", status);

  const std::string text = core.metrics().Text();
  EXPECT_THAT(text, HasSubstr(R"(selvage_log_end_offset{edge="rig-7",partition="0",stream="sensors"} 2)"));
  EXPECT_EQ(text.find("selvage_log_end_offset{"), text.rfind("selvage_log_end_offset{"));
  EXPECT_THAT(text, HasSubstr("selvage_link_up{edge=\"rig-7\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_links 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_alarms_open{node=\"rig-7\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("selvage_alarms_open{node=\"main\"}"));
  EXPECT_THAT(text, Not(HasSubstr("selvage_certificate_not_after_seconds")));
}

TEST(NodeMetricsTest, TablesAreCounted) {
  EdgeNode edge;
  const NodeMetrics metrics(edge.metrics(), NodeMetrics::PartsOf(edge.node()),
                            edge.admin().MetricSources(Certificate));
  MakeTable(edge, "pumps");
  ASSERT_TRUE(edge.node()
                  .tables()
                  .WriteAndWait("pumps", {{.key = "a", .what = table::RowOperation::Put()},
                                          {.key = "b", .what = table::RowOperation::Put()},
                                          {.key = "b", .what = table::RowOperation::Delete()}})
                  .ok());
  const std::string text = edge.metrics().Text();
  EXPECT_THAT(text, HasSubstr("selvage_table_rows{table=\"pumps\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("selvage_table_tombstones{table=\"pumps\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("selvage_table_bytes{table=\"pumps\"} 0\n")));
  EXPECT_THAT(text, HasSubstr("selvage_table_quarantined_changes{table=\"pumps\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_table_damaged_rows{table=\"pumps\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_table_conflicts_total{table=\"pumps\"} 0\n"));
  const auto end = static_cast<int64_t>(edge.node().tables().End().sequence);
  EXPECT_THAT(text, HasSubstr("selvage_table_feed_end " + std::to_string(end) + "\n"));
}

/// Counts the records of each "site" of the stream "temperature".
void MakeView(EdgeNode& edge) {
  v1::ViewDefinition view;
  view.set_name("by-site");
  view.set_stream("temperature");
  view.mutable_aggregate()->add_group_by()->set_path("site");
  view.mutable_aggregate()->add_columns()->set_function(v1::VIEW_COUNT);
  EXPECT_TRUE(edge.node().views().Create(view).ok());
}
void FeedViews(EdgeNode& edge) {
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) more = edge.node().views().RunOnce();
  EXPECT_TRUE(more.ok()) << more.status();
}

TEST(NodeMetricsTest, ViewsAreCounted) {
  EdgeNode edge;
  const NodeMetrics metrics(edge.metrics(), NodeMetrics::PartsOf(edge.node()),
                            edge.admin().MetricSources(Certificate));
  ASSERT_TRUE(edge.state().CreateStream(Definition("temperature", v1::UP)).ok());
  MakeView(edge);
  ASSERT_TRUE(
      edge.Produce(Address("temperature"), Batch({R"({"site":"a"})", R"({"site":"b"})", "junk"})).ok());
  EXPECT_THAT(edge.metrics().Text(), HasSubstr("selvage_view_lag_records{view=\"by-site\"} 3\n"));
  FeedViews(edge);
  std::string text = edge.metrics().Text();
  EXPECT_THAT(text, HasSubstr("selvage_view_records_total{view=\"by-site\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("selvage_view_skipped_total{reason=\"not_json\",view=\"by-site\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("reason=\"late\""))) << "only what there was";
  EXPECT_THAT(text, HasSubstr("selvage_view_lag_records{view=\"by-site\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_view_lost_records_total{view=\"by-site\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_view_trimmed_records_total{view=\"by-site\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_view_failing_seconds{view=\"by-site\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_view_rebuilding{view=\"by-site\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("selvage_table_rows{table=\"by-site\"} 2\n")) << "its groups";
  ASSERT_TRUE(edge.node().views().Rebuild("by-site").ok());
  text = edge.metrics().Text();
  EXPECT_THAT(text, HasSubstr("selvage_view_rebuilding{view=\"by-site\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("selvage_view_rebuild_lag_records{view=\"by-site\"} 3\n"));
}

TEST(NodeMetricsTest, TheNumberOfRowsIsBounded) {
  EdgeNode edge;
  NodeMetrics::Sources sources = edge.admin().MetricSources(Certificate);
  sources.flows = [] {
    std::vector<v1::FlowStatus> flows(kMetricRowsMax + 5);
    for (size_t i = 0; i < flows.size(); ++i) flows[i].set_partition(static_cast<int32_t>(i));
    return flows;
  };
  const NodeMetrics metrics(edge.metrics(), NodeMetrics::PartsOf(edge.node()), std::move(sources));
  EXPECT_THAT(edge.metrics().Text(), HasSubstr("selvage_metric_rows_omitted 5\n"));
}

/// Name, type and help of every metric that a node with all of them shows, as rows of the table in
/// docs/metrics.md.
std::string ReferenceTable() {
  EdgeNode edge;
  const NodeMetrics metrics(edge.metrics(), NodeMetrics::PartsOf(edge.node()),
                            edge.admin().MetricSources(Certificate));
  EXPECT_TRUE(edge.state().CreateStream(Definition("temperature", v1::UP)).ok());
  EXPECT_FALSE(edge.Produce(Address("humidity"), "").ok());
  MakeTable(edge, "pumps");
  MakeView(edge);
  EXPECT_TRUE(edge.Produce(Address("temperature"), Batch({"junk"})).ok());
  FeedViews(edge);
  std::map<std::string, std::pair<std::string, std::string>> all;  // name: type, help
  std::istringstream lines(edge.metrics().Text());
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string mark, what, name, rest;
    words >> mark >> what >> name;
    if (mark != "#") continue;
    std::getline(words >> std::ws, rest);
    (what == "TYPE" ? all[name].first : all[name].second) = rest;
  }
  std::string table = "| Metric | Type | Meaning |\n| --- | --- | --- |\n";
  for (const auto& [name, about] : all) {
    EXPECT_NE(about.second, "") << name << " has no help";
    table += "| `" + name + "` | " + about.first + " | " + about.second + " |\n";
  }
  return table;
}

/// The table in docs/metrics.md is written by this test when SELVAGE_UPDATE_DOCS is set, and compared
/// otherwise.
TEST(NodeMetricsTest, TheReferenceListsEveryMetric) {
  const std::string path = selvage::test::SourceDir() + "/docs/metrics.md";
  std::ifstream in(path);
  ASSERT_TRUE(in.good()) << path;
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const std::string mark = "<!-- table -->\n";
  const size_t at = text.find(mark);
  ASSERT_NE(at, std::string::npos);
  const std::string expected = text.substr(0, at + mark.size()) + ReferenceTable();
  if (std::getenv("SELVAGE_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << expected;
  } else {
    EXPECT_EQ(text, expected) << "write it anew: SELVAGE_UPDATE_DOCS=1 admin_test";
  }
}

}  // namespace
}  // namespace selvage::test
