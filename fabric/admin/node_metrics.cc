#include "fabric/admin/node_metrics.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "fabric/node/node_state.h"

namespace selvage {
namespace {

using Type = CollectedMetric::Type;

CollectedMetric Named(std::string_view name, std::string_view help, Type type = Type::kGauge) {
  return {.name = std::string(name), .help = std::string(help), .type = type, .samples = {}};
}

CollectedMetric Single(std::string_view name, std::string_view help, double value, Type type = Type::kGauge) {
  CollectedMetric metric = Named(name, help, type);
  metric.samples.push_back({{}, value});
  return metric;
}

MetricLabels PartitionLabels(const std::string& stream, int32_t partition, const std::string& edge) {
  return {{"stream", stream}, {"partition", std::to_string(partition)}, {"edge", edge}};
}

template <class Rows>
double CutRows(Rows& rows) {
  const size_t omitted = rows.size() - std::min(rows.size(), kMetricRowsMax);
  rows.resize(rows.size() - omitted);
  return static_cast<double>(omitted);
}

void AddLogs(const NodeMetrics::Parts& node, const std::function<bool(const LogOrigin&)>& is_current,
             double& omitted, std::vector<CollectedMetric>& all) {
  CollectedMetric start = Named("selvage_log_start_offset", "First offset that a log holds.");
  CollectedMetric end = Named("selvage_log_end_offset", "Offset after the last synced record of a log.");
  CollectedMetric bytes = Named("selvage_log_bytes", "Bytes of the entries that a log holds.");
  std::vector<std::shared_ptr<Log>> logs = node.logs.All();
  std::erase_if(
      logs, [&](const std::shared_ptr<Log>& log) { return log->superseded() || !is_current(log->origin()); });
  omitted += CutRows(logs);
  for (const std::shared_ptr<Log>& log : logs) {
    const LogOrigin& origin = log->origin();
    const LogState state = log->state();
    // A log without an origin edge is this node's own; "@core" is what an edge has from its core.
    const std::string& edge = origin.edge.empty() ? node.identity.node() : origin.edge;
    const MetricLabels labels = PartitionLabels(origin.stream, origin.partition.value(), edge);
    start.samples.push_back({labels, static_cast<double>(state.log_start().value())});
    end.samples.push_back({labels, static_cast<double>(state.end.value())});
    bytes.samples.push_back({labels, static_cast<double>(state.bytes())});
  }
  for (CollectedMetric* metric : {&start, &end, &bytes}) all.push_back(std::move(*metric));
}

void AddFlows(std::vector<v1::FlowStatus> flows, double& omitted, std::vector<CollectedMetric>& all) {
  CollectedMetric records = Named("selvage_flow_lag_records",
                                  "Records of a flow's source that its replica has not stored, as offsets.");
  CollectedMetric bytes =
      Named("selvage_flow_lag_bytes", "Bytes of a flow's source that its replica has not stored.");
  CollectedMetric seconds =
      Named("selvage_flow_lag_seconds", "Age of the oldest entry that its replica has not stored.");
  CollectedMetric state = Named("selvage_flow_state", "1; the label says how the flow stands.");
  omitted += CutRows(flows);
  for (const v1::FlowStatus& flow : flows) {
    MetricLabels labels = PartitionLabels(flow.stream(), flow.partition(), flow.edge());
    const int64_t lag = std::max<int64_t>(0, flow.source_end() - flow.replica_end());
    records.samples.push_back({labels, static_cast<double>(lag)});
    bytes.samples.push_back({labels, static_cast<double>(flow.lag_bytes())});
    seconds.samples.push_back({labels, flow.lag_seconds()});
    labels.emplace_back("state", flow.state());
    state.samples.push_back({std::move(labels), 1});
  }
  for (CollectedMetric* metric : {&records, &bytes, &seconds, &state}) all.push_back(std::move(*metric));
}

void AddLinks(const std::map<std::string, bool>& links, std::vector<CollectedMetric>& all) {
  CollectedMetric up = Named("selvage_link_up", "1 while the edge is linked with the core, else 0.");
  int count = 0;
  for (const auto& [edge, linked] : links) {
    up.samples.push_back({{{"edge", edge}}, linked ? 1.0 : 0.0});
    count += linked ? 1 : 0;
  }
  all.push_back(std::move(up));
  all.push_back(
      Single("selvage_links", "Links that are up: at the core one for each connected edge.", count));
}

void AddStore(const NodeMetrics::Parts& node, std::vector<CollectedMetric>& all) {
  const Committer::Stats commits = node.committer.stats();
  const auto total = [&](std::string_view name, std::string_view help, double value) {
    all.push_back(Single(name, help, value, Type::kCounter));
  };
  const auto now = [&](std::string_view name, std::string_view help, auto value) {
    all.push_back(Single(name, help, static_cast<double>(value)));
  };
  total("selvage_commit_groups_total", "Groups written with one sync each.",
        static_cast<double>(commits.groups));
  total("selvage_commit_tasks_total", "Appends and other changes made durable.",
        static_cast<double>(commits.tasks));
  total("selvage_commit_bytes_total", "Bytes written in groups.", static_cast<double>(commits.bytes));
  total("selvage_commit_sync_seconds_total", "Time spent in writing and syncing groups.",
        commits.sync_seconds);
  now("selvage_commit_queue_bytes", "Bytes that wait for the committer.", node.committer.QueuedBytes());
  now("selvage_store_file_bytes", "Bytes of the store's files.", node.budget.file_bytes());
  now("selvage_store_budget_bytes", "Bytes that the store's files may occupy; 0: no limit.",
      node.budget.budget());
  now("selvage_volume_free_bytes", "Bytes free on the store's volume.", node.budget.free_bytes());
}

void AddTables(const table::TableStore& tables, double& omitted, std::vector<CollectedMetric>& all) {
  CollectedMetric rows =
      Named("selvage_table_rows", "Rows of a table that are there, or expired and not removed yet.");
  CollectedMetric tombstones = Named("selvage_table_tombstones", "Tombstones of deleted rows of a table.");
  CollectedMetric bytes = Named("selvage_table_bytes", "Bytes of a table's stored rows and tombstones.");
  CollectedMetric quarantined =
      Named("selvage_table_quarantined_changes",
            "Changes of a table from a clock that is far ahead, which wait for their time.");
  CollectedMetric damaged = Named("selvage_table_damaged_rows",
                                  "Damaged rows of a table that were met since the start, at most 100.");
  CollectedMetric conflicts =
      Named("selvage_table_conflicts_total", "Conflicts that were listed since the table was made here.",
            Type::kCounter);
  CollectedMetric behind = Named(
      "selvage_table_reader_behind_changes",
      "Changes of this node, of whatever table, that a node that reads this table has not acknowledged.");
  const std::map<std::string, table::TableFacts> facts = tables.AllFacts();
  size_t shown = 0;
  for (const auto& [name, table] : facts) {
    if (++shown > kMetricRowsMax) break;
    const MetricLabels labels{{"table", name}};
    rows.samples.push_back({labels, static_cast<double>(table.counts.rows)});
    tombstones.samples.push_back({labels, static_cast<double>(table.counts.tombstones)});
    bytes.samples.push_back({labels, static_cast<double>(table.counts.bytes)});
    quarantined.samples.push_back({labels, static_cast<double>(table.quarantined)});
    damaged.samples.push_back({labels, static_cast<double>(table.damaged.size())});
    conflicts.samples.push_back({labels, static_cast<double>(table.conflicts_listed)});
    const auto readers = tables.Readers(name);
    if (!readers.ok()) continue;  // dropped meanwhile
    for (const auto& [node, reader] : *readers) {
      if (behind.samples.size() >= kMetricRowsMax) {
        omitted += 1;
        continue;
      }
      const uint64_t end = table.end.sequence;
      behind.samples.push_back({{{"table", name}, {"node", node}},
                                static_cast<double>(end - std::min(end, reader.acknowledged.sequence))});
    }
  }
  omitted += static_cast<double>(facts.size() - std::min(facts.size(), kMetricRowsMax));
  for (CollectedMetric* metric : {&rows, &tombstones, &bytes, &quarantined, &damaged, &conflicts, &behind}) {
    all.push_back(std::move(*metric));
  }
  all.push_back(Single("selvage_table_feed_end",
                       "Sequence of the next change of any table of this node; it grows as tables change.",
                       static_cast<double>(tables.End().sequence)));
}

void AddViews(const view::ViewStore& views, double& omitted, std::vector<CollectedMetric>& all) {
  CollectedMetric records =
      Named("selvage_view_records_total",
            "Records that a view looked at, also those that it skipped, since it was made or built anew.",
            Type::kCounter);
  CollectedMetric skipped =
      Named("selvage_view_skipped_total",
            "Records, or values of columns, that a view did without, by reason.", Type::kCounter);
  CollectedMetric lost =
      Named("selvage_view_lost_records_total",
            "Records that a view did not get since they are gaps of its logs.", Type::kCounter);
  CollectedMetric trimmed =
      Named("selvage_view_trimmed_records_total",
            "Records that a view did not get since retention took them before.", Type::kCounter);
  CollectedMetric lag =
      Named("selvage_view_lag_records",
            "Records of a view's stream that are synced and not in the view yet, as offsets.");
  CollectedMetric rebuilding = Named("selvage_view_rebuilding", "1 while a view is built anew, else 0.");
  CollectedMetric rebuild_lag =
      Named("selvage_view_rebuild_lag_records",
            "Records that a view that is built anew has still to read, as offsets.");
  CollectedMetric failing =
      Named("selvage_view_failing_seconds", "For how long a view could not be fed; 0: it is fed.");
  const std::map<std::string, view::ViewFacts> facts = views.AllFacts();
  size_t shown = 0;
  for (const auto& [name, view] : facts) {
    if (++shown > kMetricRowsMax) break;
    const MetricLabels labels{{"view", name}};
    const view::BuildFacts& serving = view.serving;
    records.samples.push_back({labels, static_cast<double>(serving.records)});
    lost.samples.push_back({labels, static_cast<double>(serving.lost)});
    trimmed.samples.push_back({labels, static_cast<double>(serving.trimmed)});
    lag.samples.push_back({labels, static_cast<double>(serving.behind)});
    failing.samples.push_back({labels, absl::ToDoubleSeconds(serving.failing)});
    rebuilding.samples.push_back({labels, view.rebuilt ? 1.0 : 0.0});
    rebuild_lag.samples.push_back({labels, view.rebuilt ? static_cast<double>(view.rebuilt->behind) : 0.0});
    for (size_t i = 0; i < view::kSkipReasons; ++i) {
      if (serving.skipped[i] == 0) continue;
      const auto reason = static_cast<view::SkipReason>(i);
      skipped.samples.push_back({{{"view", name}, {"reason", std::string(view::SkipWord(reason))}},
                                 static_cast<double>(serving.skipped[i])});
    }
  }
  omitted += static_cast<double>(facts.size() - std::min(facts.size(), kMetricRowsMax));
  for (CollectedMetric* metric :
       {&records, &skipped, &lost, &trimmed, &lag, &rebuilding, &rebuild_lag, &failing}) {
    all.push_back(std::move(*metric));
  }
}

void AddAlarms(const NodeMetrics::Parts& node, const std::map<std::string, int>& reported,
               std::vector<CollectedMetric>& all) {
  CollectedMetric open = Named("selvage_alarms_open", "Open alarms, by the node that raised them.");
  open.samples.push_back({{{"node", node.identity.node()}}, static_cast<double>(node.alarms.open_count())});
  for (const auto& [edge, count] : reported) {
    if (edge != node.identity.node()) open.samples.push_back({{{"node", edge}}, static_cast<double>(count)});
  }
  all.push_back(std::move(open));
  all.push_back(Single("selvage_alarms_left_out_total",
                       "Alarms that were not raised because too many of the same peer are open.",
                       static_cast<double>(node.alarms.left_out()), Type::kCounter));
}

void AddDamage(const DamageControl::Counts& counts, std::vector<CollectedMetric>& all) {
  const auto total = [&](std::string_view name, std::string_view help, uint64_t value) {
    all.push_back(Single(name, help, static_cast<double>(value), Type::kCounter));
  };
  total("selvage_damaged_ranges_found_total", "Ranges of logs that were found damaged.", counts.found);
  total("selvage_damaged_ranges_fetched_total",
        "Pieces of damaged ranges that were fetched again from the other copy.", counts.fetched);
  total("selvage_damaged_ranges_quarantined_total", "Damaged ranges that became a gap.", counts.quarantined);
}

}  // namespace

NodeMetrics::Parts NodeMetrics::PartsOf(NodeState& node) {
  return {node.identity(), node.committer(), node.logs(),   node.alarms(),
          node.budget(),   node.damage(),    node.tables(), node.views()};
}

NodeMetrics::NodeMetrics(Metrics& metrics, const Parts& parts, Sources sources)
    : parts_(parts),
      sources_(std::move(sources)),
      registration_(metrics.AddCollector([this] { return Collect(); })) {}

std::vector<CollectedMetric> NodeMetrics::Collect() {
  std::vector<CollectedMetric> all;
  double omitted = 0;
  AddLogs(parts_, sources_.is_current, omitted, all);
  AddFlows(sources_.flows(), omitted, all);
  AddLinks(sources_.links(), all);
  AddStore(parts_, all);
  AddTables(parts_.tables, omitted, all);
  AddViews(parts_.views, omitted, all);
  AddDamage(parts_.damage.counts(), all);
  AddAlarms(parts_, sources_.reported_alarms(), all);
  all.push_back(Single("selvage_metric_rows_omitted",
                       "Logs, flows, tables and views without series, since there are too many.", omitted));
  const CertificateView certificate = sources_.certificate();
  all.push_back(Single("selvage_certificate_usable",
                       "1 while the node's certificate files would carry a connection, else 0.",
                       certificate.usable ? 1 : 0));
  if (certificate.not_after) {
    all.push_back(Single("selvage_certificate_not_after_seconds",
                         "When the node's certificate ends, in seconds since 1970.",
                         absl::ToDoubleSeconds(*certificate.not_after - absl::UnixEpoch())));
  }
  return all;
}

}  // namespace selvage
