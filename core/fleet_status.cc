#include <iterator>

#include "core/fleet.h"

/// What the core shows of its edges.
namespace selvage {

v1::EdgeSummary Fleet::SummaryOf(const v1::StoredEdge& edge) const {
  v1::EdgeSummary summary;
  summary.set_edge(edge.edge());
  summary.set_connected(links_.contains(edge.edge()));
  for (int i = 0; i + 1 < edge.tenures_size(); ++i) summary.add_former_slots(edge.tenures(i).slot());
  if (!edge.tenures().empty()) {
    summary.set_slot(edge.tenures(edge.tenures_size() - 1).slot());
    summary.set_store_id(edge.tenures(edge.tenures_size() - 1).store_id());
  }
  *summary.mutable_labels() = edge.labels();
  summary.set_max_rate(edge.max_rate());
  summary.set_retired(edge.retired());
  summary.set_held(edge.held());
  summary.set_session_epoch(edge.session_epoch());
  summary.set_spec_generation(SpecGenerationOf(edge.edge()));
  if (auto report = reports_.find(edge.edge()); report != reports_.end()) {
    summary.set_last_seen_ms(report->second.last_seen_ms());
    *summary.mutable_status() = report->second.status();
  }
  return summary;
}

std::vector<v1::EdgeSummary> Fleet::Summaries() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::EdgeSummary> summaries;
  summaries.reserve(edges_.size());
  for (const auto& [name, edge] : edges_) summaries.push_back(SummaryOf(edge));
  return summaries;
}

std::map<std::string, bool> Fleet::Connected() const {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, bool> connected;
  for (const auto& [name, edge] : edges_) connected[name] = links_.contains(name);
  return connected;
}

std::map<std::string, std::vector<v1::AlarmDocument>> Fleet::ReportedAlarms() const {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, std::vector<v1::AlarmDocument>> reported;
  for (const auto& [edge, report] : reports_) {
    reported[edge].assign(report.status().alarms().begin(), report.status().alarms().end());
  }
  return reported;
}

std::map<std::string, int> Fleet::ReportedAlarmCounts() const {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, int> counts;
  for (const auto& [edge, report] : reports_) counts[edge] = report.status().alarms_size();
  return counts;
}

std::vector<Fleet::ReportedFlows> Fleet::FlowsReported(const std::string& only) const {
  absl::MutexLock lock(&mutex_);
  std::vector<ReportedFlows> reported;
  const auto begin = only.empty() ? reports_.begin() : reports_.find(only);
  const auto end = only.empty() || begin == reports_.end() ? reports_.end() : std::next(begin);
  for (auto it = begin; it != end; ++it) {
    const auto& [name, report] = *it;
    const auto edge = edges_.find(name);
    if (edge == edges_.end() || edge->second.tenures().empty()) continue;
    const auto link = links_.find(name);
    reported.push_back({.edge = name,
                        .slot = Slot(edge->second.tenures(edge->second.tenures_size() - 1).slot()),
                        .connected = link != links_.end(),
                        .fresh = link != links_.end() && link->second.reported,
                        .open_flows = link == links_.end() ? std::set<LogNumber>() : link->second.open_flows,
                        .flows = {report.status().flows().begin(), report.status().flows().end()}});
  }
  return reported;
}

std::vector<v1::FlowStatus> Fleet::FlowStatuses(const std::string& only) const {
  std::vector<v1::FlowStatus> rows;
  for (ReportedFlows& edge : FlowsReported(only)) {
    for (v1::FlowStatus& flow : edge.flows) {
      bool up = flow.direction() == v1::UP;
      int64_t reported_lag = flow.source_end() - flow.replica_end();
      LogOrigin origin{flow.edge(), edge.slot, flow.stream(), PartitionId(flow.partition())};
      if (!up)
        origin = {flow.direction() == v1::DOWN ? edge.edge : "", Slot(0), flow.stream(),
                  PartitionId(flow.partition())};
      if (const std::shared_ptr<Log> log = node_.logs().Find(origin); log != nullptr) {
        LogState state = log->state();
        // A report may be a minute old on a slow link: that this end takes the flow is known here.
        const bool opening = flow.state() == "opening" || flow.state() == "offline";
        if (up && opening && edge.open_flows.contains(log->number())) flow.set_state("streaming");
        // Each end knows its own end best.
        if (up) flow.set_replica_end(state.end.value());
        if (up && flow.source_end() < state.end.value()) flow.set_source_end(state.end.value());
        if (!up) flow.set_source_end(state.end.value());
        if (!up && flow.replica_end() < flow.source_end() && flow.state() == "caught_up")
          flow.set_state("streaming");
      }
      if (flow.replica_end() >= flow.source_end()) {
        flow.set_lag_bytes(0);
        flow.set_lag_seconds(0);
        flow.set_catch_up_seconds(0);
        if (flow.state() == "streaming") flow.set_state("caught_up");
      }
      int64_t lag = flow.source_end() - flow.replica_end();
      if (up && lag > 0 && lag < reported_lag) {
        // The report is some seconds old; what arrived since is not missing any more.
        double left = static_cast<double>(lag) / static_cast<double>(reported_lag);
        flow.set_lag_bytes(static_cast<uint64_t>(static_cast<double>(flow.lag_bytes()) * left));
        if (flow.catch_up_seconds() > 0) flow.set_catch_up_seconds(flow.catch_up_seconds() * left);
      }
      if (!edge.connected) flow.set_state("offline");
      if (edge.connected && up && flow.state() == "offline") flow.set_state("opening");
      // Until it reports, what the edge wrote while there was no link is not known here.
      if (edge.connected && !edge.fresh) flow.set_state("opening");
      flow.set_slot(edge.slot.value());
      rows.push_back(std::move(flow));
    }
  }
  return rows;
}

}  // namespace selvage
