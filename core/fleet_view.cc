#include "core/fleet_view.h"

#include <utility>

#include "fabric/base/error.h"

namespace selvage {
namespace {

/// Takes what this end knows into the row of a flow that ends here, or begins.
void TakeOwnEnd(const Log& log, bool open, v1::FlowStatus& flow) {
  const bool up = flow.direction() == v1::UP;
  const int64_t end = log.state().end.value();
  // A report may be a minute old on a slow link: that this end takes the flow is known here.
  const bool opening = flow.state() == "opening" || flow.state() == "offline";
  if (up && opening && open) flow.set_state("streaming");
  // Each end knows its own end best.
  if (up) flow.set_replica_end(end);
  if (up && flow.source_end() < end) flow.set_source_end(end);
  if (!up) flow.set_source_end(end);
  if (!up && flow.replica_end() < flow.source_end() && flow.state() == "caught_up")
    flow.set_state("streaming");
}

/// The lag as of now, of which `reported` records were told.
void AdjustLag(int64_t reported, v1::FlowStatus& flow) {
  const int64_t lag = flow.source_end() - flow.replica_end();
  if (lag <= 0) {
    flow.set_lag_bytes(0);
    flow.set_lag_seconds(0);
    flow.set_catch_up_seconds(0);
    if (flow.state() == "streaming") flow.set_state("caught_up");
  } else if (flow.direction() == v1::UP && lag < reported) {
    // The report is some seconds old; what arrived since is not missing any more.
    const double left = static_cast<double>(lag) / static_cast<double>(reported);
    flow.set_lag_bytes(static_cast<uint64_t>(static_cast<double>(flow.lag_bytes()) * left));
    if (flow.catch_up_seconds() > 0) flow.set_catch_up_seconds(flow.catch_up_seconds() * left);
  }
}

}  // namespace

v1::EdgeSummary FleetView::SummaryOf(const v1::StoredEdge& edge) const {
  v1::EdgeSummary summary;
  summary.set_edge(edge.edge());
  summary.set_connected(links_.IsUp(edge.edge()));
  for (int i = 0; i + 1 < edge.tenures_size(); ++i) summary.add_former_slots(edge.tenures(i).slot());
  if (const auto slot = CurrentSlot(edge)) {
    summary.set_slot(slot->value());
    summary.set_store_id(edge.tenures(edge.tenures_size() - 1).store_id());
  }
  *summary.mutable_labels() = edge.labels();
  summary.set_max_rate(edge.max_rate());
  summary.set_hold_models(edge.hold_models());
  summary.set_retired(edge.retired());
  summary.set_held(edge.held());
  summary.set_session_epoch(edge.session_epoch());
  summary.set_spec_generation(specs_.Generation(edge.edge()));
  if (auto report = reports_.Find(edge.edge())) {
    summary.set_last_seen_ms(report->last_seen_ms());
    *summary.mutable_status() = std::move(*report->mutable_status());
  }
  return summary;
}

std::vector<v1::EdgeSummary> FleetView::Summaries() const {
  std::vector<v1::EdgeSummary> summaries;
  for (const v1::StoredEdge& edge : edges_.All()) summaries.push_back(SummaryOf(edge));
  return summaries;
}

absl::StatusOr<v1::EdgeSummary> FleetView::Summary(const std::string& edge) const {
  SELVAGE_ASSIGN_OR_RETURN(const v1::StoredEdge stored, edges_.Get(edge));
  return SummaryOf(stored);
}

std::map<std::string, bool> FleetView::Connected() const {
  std::map<std::string, bool> connected;
  for (const v1::StoredEdge& edge : edges_.All()) connected[edge.edge()] = links_.IsUp(edge.edge());
  return connected;
}

std::vector<v1::FlowStatus> FleetView::FlowStatuses(const std::string& only) const {
  std::vector<v1::FlowStatus> rows;
  for (EdgeReports::Flows& reported : reports_.ReportedFlows(only)) {
    const auto slot = edges_.SlotOf(reported.edge);
    if (!slot) continue;
    auto link = links_.Find(reported.edge);
    const Standing edge{.edge = reported.edge,
                        .slot = *slot,
                        .connected = link.has_value(),
                        .fresh = link && link->number == reported.link,
                        .open_flows = link ? std::move(link->open_flows) : std::set<LogNumber>()};
    for (v1::FlowStatus& flow : reported.flows) rows.push_back(RowOf(edge, std::move(flow)));
  }
  return rows;
}

v1::FlowStatus FleetView::RowOf(const Standing& edge, v1::FlowStatus flow) const {
  const bool up = flow.direction() == v1::UP;
  const int64_t reported_lag = flow.source_end() - flow.replica_end();
  LogOrigin origin{flow.edge(), edge.slot, flow.stream(), PartitionId(flow.partition())};
  if (!up)
    origin = {flow.direction() == v1::DOWN ? edge.edge : "", Slot(0), flow.stream(),
              PartitionId(flow.partition())};
  if (const std::shared_ptr<Log> log = logs_.Find(origin); log != nullptr)
    TakeOwnEnd(*log, edge.open_flows.contains(log->number()), flow);
  AdjustLag(reported_lag, flow);
  if (!edge.connected) flow.set_state("offline");
  if (edge.connected && up && flow.state() == "offline") flow.set_state("opening");
  // Until it reports, what the edge wrote while there was no link is not known here.
  if (edge.connected && !edge.fresh) flow.set_state("opening");
  flow.set_slot(edge.slot.value());
  return flow;
}

}  // namespace selvage
