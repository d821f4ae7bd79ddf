#include "edge/edge_admin.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"
#include "fabric/node/node_state.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

absl::Status AtTheCore(std::string_view what) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "wrong_node",
                   fmt::format("an edge does not know {}", what),
                   "ask the core: selvagectl --address <core>");
}

}  // namespace

EdgeAdmin::Parts EdgeAdmin::PartsOf(NodeState& node, EdgeState& state) {
  return {state, node.identity(), node.logs(), node.catalog(), node.alarms()};
}

absl::StatusOr<v1::StreamDefinition> EdgeAdmin::CreateStream(const v1::StreamDefinition& definition) {
  return parts_.state.CreateStream(definition);
}

absl::StatusOr<v1::StreamDefinition> EdgeAdmin::SetStream(const v1::SetStreamRequest& request) {
  return parts_.state.SetStream(request);
}

absl::Status EdgeAdmin::AddPartitions(const std::string& stream, int32_t partitions, bool validate_only) {
  return parts_.state.AddPartitions(stream, partitions, validate_only);
}

absl::StatusOr<v1::StreamDefinition> EdgeAdmin::CheckNew(const v1::StreamDefinition& definition) {
  return parts_.state.CheckNew(definition);
}

absl::StatusOr<int> EdgeAdmin::DeleteStream(const std::string& stream) {
  SELVAGE_ASSIGN_OR_RETURN(const int logs, parts_.state.DeleteStream(stream));
  LogInfo("stream deleted", {{"stream", stream}, {"logs", logs}});
  return logs;
}

absl::StatusOr<v1::StreamDefinition> EdgeAdmin::RenameStream(const std::string& stream,
                                                             const std::string& to) {
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition renamed, parts_.state.RenameStream(stream, to));
  LogInfo("stream renamed", {{"stream", stream}, {"to", to}});
  return renamed;
}

std::vector<v1::LogSummary> EdgeAdmin::Logs(const std::string& stream) {
  std::vector<v1::LogSummary> logs;
  for (const std::shared_ptr<Log>& log : parts_.logs.All()) {
    if (stream.empty() || log->origin().stream == stream) logs.push_back(SummaryOf(*log));
  }
  return logs;
}

absl::StatusOr<std::shared_ptr<Log>> EdgeAdmin::FindLog(const v1::LogAddress& address, LogUse use) {
  if (!address.edge().empty() && address.edge() != parts_.identity.node())
    return AtTheCore("the logs of other edges");
  const auto definition = parts_.catalog.Find(address.stream());
  if (!definition) return UnknownStream(address.stream());
  if (address.partition() < 0 || address.partition() >= definition->partitions()) {
    return WrongPartition(address, fmt::format("partitions 0 to {}", definition->partitions() - 1));
  }
  const bool own = definition->direction() == v1::UP || definition->direction() == v1::LOCAL;
  if (!own && use == LogUse::kWrite) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "read_only_replica",
        fmt::format("stream {} is written at the core; this edge holds a replica", address.stream()),
        "produce at the core: selvagectl --address <core>");
  }
  if (use == LogUse::kWrite) SELVAGE_RETURN_IF_ERROR(CheckProducible(*definition));
  const LogOrigin origin{own ? std::string() : std::string(kCoreOrigin), Slot(0), address.stream(),
                         PartitionId(address.partition())};
  const std::shared_ptr<Log> log = parts_.logs.Find(origin);
  if (log == nullptr) return NotReplicatedYet(address, own ? "this edge" : "the core");
  return log;
}

absl::StatusOr<std::vector<v1::EdgeSummary>> EdgeAdmin::ListEdges(const v1::ListEdgesRequest&) {
  return AtTheCore("the fleet");
}

absl::StatusOr<v1::EdgeSummary> EdgeAdmin::SetEdge(const v1::SetEdgeRequest&) {
  return AtTheCore("what an edge should be");
}

absl::StatusOr<v1::EdgeSummary> EdgeAdmin::RetireEdge(const std::string&) {
  return AtTheCore("the fleet");
}

absl::StatusOr<std::vector<v1::LogSummary>> EdgeAdmin::ListOrigins(const v1::ListOriginsRequest&) {
  return AtTheCore("the origins of a stream");
}

void EdgeAdmin::CallEdge(const std::string&, NodeCall, CallDone done) {
  done(AtTheCore("other edges"));
}

std::vector<v1::AlarmDocument> EdgeAdmin::ListAlarms(bool also_resolved) {
  return parts_.alarms.All(also_resolved);
}

int EdgeAdmin::OpenAlarms() {
  return parts_.alarms.open_count();
}

absl::StatusOr<v1::AlarmDocument> EdgeAdmin::ResolveAlarm(uint64_t id, const std::string& action) {
  return parts_.alarms.Resolve(id, action);
}

bool EdgeAdmin::IsOfEdge(const LogOrigin& origin, const std::string& edge) {
  return origin.edge.empty() ? edge == parts_.identity.node() : edge == origin.edge;
}

absl::StatusOr<v1::GetStatusResponse> EdgeAdmin::Status(const v1::GetStatusRequest& request) {
  if (!request.edge().empty() && request.edge() != parts_.identity.node()) return AtTheCore("other edges");
  v1::GetStatusResponse status;
  status.set_version(parts_.state.version());
  for (v1::FlowStatus& flow : parts_.state.FlowStatuses()) *status.add_flows() = std::move(flow);
  LinkView link = link_();
  status.set_links(link.up ? 1 : 0);
  status.set_link_detail(std::move(link.detail));
  return status;
}

NodeMetrics::Sources EdgeAdmin::MetricSources(std::function<CertificateView()> certificate) {
  return {.flows = [this] { return parts_.state.FlowStatuses(); },
          .is_current = [](const LogOrigin&) { return true; },
          .links =
              [this] {
                return std::map<std::string, bool>{{parts_.identity.node(), link_().up}};
              },
          .reported_alarms = [] { return std::map<std::string, int>(); },
          .certificate = std::move(certificate)};
}

}  // namespace selvage
