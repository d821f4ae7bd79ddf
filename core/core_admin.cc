#include "core/core_admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

constexpr int kLabelsMax = 64;
constexpr size_t kLabelKeyMax = 63;
constexpr size_t kLabelValueMax = 255;

bool IsLabelKey(const std::string& key) {
  return !key.empty() && key.size() <= kLabelKeyMax && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '/';
  });
}

absl::Status CheckLabels(const v1::SetEdgeRequest& request) {
  const bool well_formed =
      request.set_labels_size() <= kLabelsMax &&
      std::all_of(request.set_labels().begin(), request.set_labels().end(), [](const auto& label) {
        return IsLabelKey(label.first) && label.second.size() <= kLabelValueMax;
      });
  if (well_formed) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, "invalid_label", "a label's key or value is not allowed",
      fmt::format("keys of 1 to {} letters, digits, '_', '-', '.' and '/'; values of at most {} bytes; at "
                  "most {} labels",
                  kLabelKeyMax, kLabelValueMax, kLabelsMax));
}

bool HasLabels(const v1::EdgeSummary& edge, const google::protobuf::Map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    auto found = edge.labels().find(label.first);
    return found != edge.labels().end() && found->second == label.second;
  });
}

std::string PartitionRange(int32_t partitions) {
  return fmt::format("partitions 0 to {}", partitions - 1);
}

bool InRange(const v1::LogAddress& address, int32_t partitions) {
  return address.partition() >= 0 && address.partition() < partitions;
}

}  // namespace

// --- Streams
// -------------------------------------------------------------------------------------------------------

absl::StatusOr<v1::StreamDefinition> CoreAdmin::CreateStream(const v1::StreamDefinition& definition) {
  return parts_.streams.Create(definition);
}

absl::StatusOr<v1::StreamDefinition> CoreAdmin::SetStream(const v1::SetStreamRequest& request) {
  return parts_.streams.Set(request);
}

absl::StatusOr<int> CoreAdmin::DeleteStream(const std::string& stream) {
  const auto definition = parts_.catalog.Find(stream);
  SELVAGE_ASSIGN_OR_RETURN(const int logs, parts_.streams.Delete(stream));
  const bool replicas = definition && definition->direction() == v1::UP;
  LogWarning(replicas ? "stream deleted, with the replicas of what edges wrote" : "stream deleted",
             {{"stream", stream}, {"logs", logs}});
  return logs;
}

absl::StatusOr<v1::StreamDefinition> CoreAdmin::RenameStream(const std::string& stream, const std::string&) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "wrong_node",
                   fmt::format("stream {} has its name at every edge", stream),
                   "only a stream that the core does not know can be renamed, at the edge where it was made");
}

std::vector<v1::LogSummary> CoreAdmin::Logs(const std::string& stream) {
  std::map<std::string, v1::StreamDefinition> definitions;
  for (v1::StreamDefinition& definition : parts_.catalog.All()) definitions[definition.name()] = definition;
  std::vector<v1::LogSummary> logs;
  for (const std::shared_ptr<Log>& log : parts_.logs.All()) {
    const LogOrigin& origin = log->origin();
    if (!stream.empty() && origin.stream != stream) continue;
    v1::LogSummary summary = SummaryOf(*log);
    const auto definition = definitions.find(origin.stream);
    if (definition != definitions.end() && definition->second.direction() == v1::UP) {
      const int64_t first = int64_t{origin.slot.value()} * definition->second.partitions();
      summary.set_topic_partition(static_cast<int32_t>(first + origin.partition.value()));
    }
    logs.push_back(std::move(summary));
  }
  std::sort(logs.begin(), logs.end(), [](const v1::LogSummary& a, const v1::LogSummary& b) {
    return std::make_tuple(a.stream(), a.topic_partition(), a.edge(), a.superseded()) <
           std::make_tuple(b.stream(), b.topic_partition(), b.edge(), b.superseded());
  });
  return logs;
}

absl::StatusOr<std::shared_ptr<Log>> CoreAdmin::FindLog(const v1::LogAddress& address, LogUse use) {
  const auto definition = parts_.catalog.Find(address.stream());
  if (!definition) return UnknownStream(address.stream());
  if (use == LogUse::kWrite) SELVAGE_RETURN_IF_ERROR(CheckProducible(*definition));
  switch (definition->direction()) {
    case v1::UP:
      return FindReplica(address, definition->partitions(), use);
    case v1::DOWN:
      return FindForEdge(address, definition->partitions(), use);
    default:
      return FindShared(address, definition->partitions());
  }
}

absl::StatusOr<std::shared_ptr<Log>> CoreAdmin::FindReplica(const v1::LogAddress& address, int32_t partitions,
                                                            LogUse use) {
  if (use == LogUse::kWrite) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "read_only_replica",
        fmt::format("stream {} is written at each edge; the core holds replicas", address.stream()),
        "produce at the edge: selvagectl --address <edge>");
  }
  if (address.edge().empty()) return FindTopicPartition(address, partitions);
  if (!InRange(address, partitions)) return WrongPartition(address, PartitionRange(partitions));
  const std::optional<Slot> slot = parts_.edges.SlotOf(address.edge());
  if (!slot)
    SELVAGE_RETURN_IF_ERROR(
        parts_.edges.Get(address.edge()).status());  // unknown, or held before it ever linked
  const std::shared_ptr<Log> log =
      !slot ? nullptr
            : parts_.logs.Find({address.edge(), *slot, address.stream(), PartitionId(address.partition())});
  if (log == nullptr) return NotReplicatedYet(address, fmt::format("edge {}", address.edge()));
  return log;
}

absl::StatusOr<std::shared_ptr<Log>> CoreAdmin::FindTopicPartition(const v1::LogAddress& address,
                                                                   int32_t partitions) {
  if (address.partition() < 0) return WrongPartition(address, "partitions from 0 on");
  const Slot slot(static_cast<uint32_t>(address.partition() / partitions));
  const std::optional<std::string> edge = parts_.edges.EdgeOf(slot);
  if (!edge) {
    return WrongPartition(
        address, fmt::format("no edge has slot {}; selvagectl origin list shows which partition is whose",
                             slot.value()));
  }
  const std::shared_ptr<Log> log =
      parts_.logs.Find({*edge, slot, address.stream(), PartitionId(address.partition() % partitions)});
  if (log == nullptr) return NotReplicatedYet(address, fmt::format("edge {}", *edge));
  return log;
}

absl::StatusOr<std::shared_ptr<Log>> CoreAdmin::FindForEdge(const v1::LogAddress& address, int32_t partitions,
                                                            LogUse use) {
  if (address.edge().empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "edge_needed",
                     fmt::format("stream {} has a log for each edge", address.stream()),
                     "say which edge's: selvagectl ... --edge <edge>");
  }
  if (!InRange(address, partitions)) return WrongPartition(address, PartitionRange(partitions));
  SELVAGE_ASSIGN_OR_RETURN(const v1::StoredEdge edge, parts_.edges.Get(address.edge()));
  if (use == LogUse::kWrite && edge.retired()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "edge_retired",
                     fmt::format("edge {} was retired and reads nothing any more", address.edge()),
                     "selvagectl edge list shows the edges");
  }
  const LogOrigin origin{address.edge(), Slot(0), address.stream(), PartitionId(address.partition())};
  if (parts_.logs.Find(origin) == nullptr)
    SELVAGE_RETURN_IF_ERROR(parts_.edge_logs.Down(address.edge()).status());
  const std::shared_ptr<Log> log = parts_.logs.Find(origin);
  if (log == nullptr) return UnknownStream(address.stream());  // deleted meanwhile
  return log;
}

absl::StatusOr<std::shared_ptr<Log>> CoreAdmin::FindShared(const v1::LogAddress& address,
                                                           int32_t partitions) {
  if (!address.edge().empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "not_per_edge",
                     fmt::format("stream {} at the core is not an edge's", address.stream()),
                     "leave the edge out");
  }
  if (!InRange(address, partitions)) return WrongPartition(address, PartitionRange(partitions));
  const std::shared_ptr<Log> log =
      parts_.logs.Find({"", Slot(0), address.stream(), PartitionId(address.partition())});
  if (log == nullptr) return UnknownStream(address.stream());  // deleted meanwhile
  return log;
}

// --- The fleet
// -----------------------------------------------------------------------------------------------------

absl::StatusOr<std::vector<v1::EdgeSummary>> CoreAdmin::ListEdges(const v1::ListEdgesRequest& request) {
  std::vector<v1::EdgeSummary> edges;
  if (request.edge().empty()) {
    edges = parts_.view.Summaries();
  } else {
    SELVAGE_ASSIGN_OR_RETURN(v1::EdgeSummary edge, parts_.view.Summary(request.edge()));
    edges.push_back(std::move(edge));
  }
  std::erase_if(edges, [&](const v1::EdgeSummary& edge) { return !HasLabels(edge, request.labels()); });
  return edges;
}

absl::StatusOr<v1::EdgeSummary> CoreAdmin::SetEdge(const v1::SetEdgeRequest& request) {
  SELVAGE_RETURN_IF_ERROR(CheckLabels(request));
  SELVAGE_RETURN_IF_ERROR(parts_.specs.SetEdge(request));
  return parts_.view.Summary(request.edge());
}

absl::StatusOr<v1::EdgeSummary> CoreAdmin::RetireEdge(const std::string& edge) {
  SELVAGE_RETURN_IF_ERROR(parts_.admitter.Retire(edge));
  return parts_.view.Summary(edge);
}

void CoreAdmin::CallEdge(const std::string& edge, NodeCall call, CallDone done) {
  const NodeCaller caller = parts_.links.CallerOf(edge);
  if (!caller) return done(NoLinkOf(edge));
  caller(std::move(call), std::move(done));
}

absl::Status CoreAdmin::NoLinkOf(const std::string& edge) const {
  SELVAGE_RETURN_IF_ERROR(parts_.edges.Get(edge).status());
  const int64_t seen_ms = parts_.reports.LastSeenMs(edge);
  return MakeError(absl::StatusCode::kUnavailable, "edge_offline",
                   seen_ms == 0
                       ? fmt::format("edge {} is not linked", edge)
                       : fmt::format("edge {} is not linked; it was last seen at {}", edge,
                                     absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMillis(seen_ms),
                                                      absl::UTCTimeZone())),
                   "what it does meanwhile is known there alone: ask again when it is linked", Retry::kYes);
}

absl::StatusOr<std::vector<v1::LogSummary>> CoreAdmin::ListOrigins(const v1::ListOriginsRequest& request) {
  if (!request.stream().empty() && !parts_.catalog.Find(request.stream()))
    return UnknownStream(request.stream());
  std::vector<v1::LogSummary> origins = Logs(request.stream());
  std::erase_if(origins, [&](const v1::LogSummary& log) {
    return log.edge().empty() || (!request.edge().empty() && log.edge() != request.edge());
  });
  return origins;
}

// --- What operators look at
// ----------------------------------------------------------------------------------------

std::map<StoreId, std::string> CoreAdmin::EdgesOfStores() {
  std::map<StoreId, std::string> edges;
  const auto add = [&](const std::string& store, const std::string& edge) {
    if (const auto id = StoreId::FromBytes(store)) edges.insert_or_assign(*id, edge);
  };
  for (const v1::StoredEdge& edge : parts_.edges.All()) {
    for (const v1::StoredTenure& tenure : edge.tenures()) {
      for (const std::string& former : tenure.former_store_ids()) add(former, edge.edge());
      add(tenure.store_id(), edge.edge());
    }
  }
  return edges;
}

std::vector<v1::AlarmDocument> CoreAdmin::ListAlarms(bool also_resolved) {
  std::vector<v1::AlarmDocument> alarms = parts_.alarms.All(also_resolved);
  auto by_edge = parts_.reports.Alarms();
  for (auto& [edge, reported] : by_edge) {
    for (v1::AlarmDocument& alarm : reported) {
      alarm.set_origin(edge);  // who reported it, whatever it says itself
      alarms.push_back(std::move(alarm));
    }
  }
  return alarms;
}

int CoreAdmin::OpenAlarms() {
  int open = parts_.alarms.open_count();
  for (const auto& [edge, count] : parts_.reports.AlarmCounts()) open += count;
  return open;
}

absl::StatusOr<v1::AlarmDocument> CoreAdmin::ResolveAlarm(uint64_t id, const std::string& action) {
  auto resolved = parts_.alarms.Resolve(id, action);
  if (resolved.ok() || ErrorKind(resolved.status()) != "unknown_alarm") return resolved;
  std::string edges;
  for (const v1::AlarmDocument& alarm : ListAlarms(false)) {
    if (alarm.id() == id) edges += (edges.empty() ? "" : ", ") + alarm.origin();
  }
  if (edges.empty()) return resolved;
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "wrong_node",
      fmt::format("alarm {} is not the core's; it was raised at {}", id, edges),
      fmt::format("resolve it at the edge: selvagectl --address <edge> alarm resolve {0}, or --edge <edge> "
                  "alarm resolve {0} where its link.calls allows that",
                  id));
}

absl::StatusOr<v1::GetStatusResponse> CoreAdmin::Status(const v1::GetStatusRequest& request) {
  if (!request.edge().empty()) SELVAGE_RETURN_IF_ERROR(parts_.edges.Get(request.edge()).status());
  v1::GetStatusResponse status;
  status.set_version(version_);
  for (v1::FlowStatus& flow : parts_.view.FlowStatuses(request.edge())) *status.add_flows() = std::move(flow);
  status.set_links(parts_.links.count());
  return status;
}

NodeMetrics::Sources CoreAdmin::MetricSources(std::function<CertificateView()> certificate) {
  return {.flows = [this] { return parts_.view.FlowStatuses(""); },
          .is_current =
              [this](const LogOrigin& origin) {
                const auto definition = parts_.catalog.Find(origin.stream);
                return !definition || definition->direction() != v1::UP ||
                       parts_.edges.SlotOf(origin.edge) == origin.slot;
              },
          .links = [this] { return parts_.view.Connected(); },
          .reported_alarms = [this] { return parts_.reports.AlarmCounts(); },
          .certificate = std::move(certificate)};
}

}  // namespace selvage
