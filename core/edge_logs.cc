#include "core/edge_logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"

namespace selvage {
namespace {

/// What an edge offers makes logs here, and each costs memory and stays.
constexpr int64_t kLogsOfEdgeMax = 20'000;

absl::Status CheckOffer(const std::string& edge, const v1::FlowOpen& open) {
  auto id = LogId::FromBytes(open.history());
  if (!id || id->none() || open.stream().base() < 0)
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "an offer without a log");
  if (!open.origin_edge().empty() && open.origin_edge() != edge) {
    return MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                     fmt::format("edge {} may not write a partition of edge {}", edge, open.origin_edge()),
                     "an edge writes only what is its own");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<Log>> EdgeLogs::ForOffer(const std::string& edge, Slot slot,
                                                        const v1::FlowOpen& open) {
  SELVAGE_RETURN_IF_ERROR(CheckOffer(edge, open));
  const v1::StreamFlow& stream = open.stream();
  SELVAGE_ASSIGN_OR_RETURN(const v1::StreamDefinition offered, CompleteDefinition(stream.definition()));
  if (offered.name() != stream.name() || offered.direction() != v1::UP || stream.partition() < 0 ||
      stream.partition() >= offered.partitions()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "wrong_partition",
                     fmt::format("edge {} offers partition {} of {}, which the stream does not have", edge,
                                 stream.partition(), stream.name()));
  }
  SELVAGE_RETURN_IF_ERROR(CheckStream(edge, offered));
  const LogOrigin origin{edge, slot, stream.name(), PartitionId(stream.partition())};
  const LogId id = *LogId::FromBytes(open.history());
  const std::shared_ptr<Log> log = parts_.logs.Find(origin);
  if (log != nullptr && log->state().id == id) return log;
  SELVAGE_RETURN_IF_ERROR(CheckCount(edge));
  if (log != nullptr) {
    parts_.alarms.Report(
        {"log_replaced", ToString(origin),
         "the edge made this stream again: a new log takes the place of the one held here",
         "the former log is kept until the stream is deleted; consumers start again at offset 0", false,
         edge});
  }
  return parts_.logs.Create({.origin = origin,
                             .id = id,
                             .base = Offset(stream.base()),
                             .base_hash = ChainHash(stream.base_hash()),
                             .leader_epoch = LeaderEpoch(0)});
}

absl::Status EdgeLogs::CheckStream(const std::string& edge, const v1::StreamDefinition& offered) {
  const auto known = parts_.catalog.Find(offered.name());
  if (offered.created() != 0 && offered.created() != (known ? known->created() : 0)) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                     fmt::format("stream {} was deleted here after edge {} got it", offered.name(), edge),
                     "the edge drops it when the news reaches it", Retry::kYes);
  }
  if (known) return CheckSameShape(*known, offered);
  const absl::Status created = parts_.streams.CreateOffered(offered).status();  // provisional until now
  return created.code() == absl::StatusCode::kAlreadyExists ? absl::OkStatus() : created;
}

absl::Status EdgeLogs::CheckCount(const std::string& edge) const {
  const std::vector<std::shared_ptr<Log>> logs = parts_.logs.All();
  const auto of_edge = std::count_if(
      logs.begin(), logs.end(), [&](const std::shared_ptr<Log>& log) { return log->origin().edge == edge; });
  if (of_edge < kLogsOfEdgeMax) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, "too_many_logs",
      fmt::format("{} logs of edge {} are held here, with those whose place others took; no more are made",
                  of_edge, edge),
      "delete streams that are not needed; an edge that makes its streams again and again is faulty");
}

absl::StatusOr<std::vector<EdgeLogs::DownLog>> EdgeLogs::Down(const std::string& edge) {
  std::vector<DownLog> down;
  for (const v1::StreamDefinition& definition : parts_.catalog.All()) {
    const bool own = definition.direction() == v1::DOWN;
    if (!own && definition.direction() != v1::DOWN_SHARED) continue;
    for (int32_t p = 0; p < definition.partitions(); ++p) {
      SELVAGE_ASSIGN_OR_RETURN(auto log,
                               FindOrMake({own ? edge : "", Slot(0), definition.name(), PartitionId(p)}));
      down.push_back({std::move(log), definition});
    }
  }
  return down;
}

absl::StatusOr<std::shared_ptr<Log>> EdgeLogs::FindOrMake(const LogOrigin& origin) {
  if (auto log = parts_.logs.Find(origin); log != nullptr) return log;
  CoreDocument::Change change(parts_.core);
  if (auto log = parts_.logs.Find(origin); log != nullptr) return log;
  SELVAGE_RETURN_IF_ERROR(parts_.logs
                              .Create({.origin = origin,
                                       .id = LogId::Mint(parts_.random),
                                       .base = Offset(0),
                                       .base_hash = ChainHash(0),
                                       .leader_epoch = LeaderEpoch(0)})
                              .status());
  return parts_.logs.Find(origin);
}

absl::Status EdgeLogs::BranchDown(const std::shared_ptr<Log>& log, const LogPosition& from) {
  const bool shared = log->origin().edge.empty();
  LogPosition at = from;
  if (shared) {
    SELVAGE_ASSIGN_OR_RETURN(at, log->BoundaryAtOrBefore(log->state().start));
  }
  SELVAGE_RETURN_IF_ERROR(parts_.logs.BranchAll({{log, LogId::Mint(parts_.random), at}}, [](WriteBatch&) {}));
  parts_.alarms.Report(
      {"fork", ToString(log->origin()),
       "edges hold another history of this stream: the core was restored from a backup",
       "what the stream holds since goes into a new log at the edges; nothing there is overwritten", false});
  if (shared) {
    parts_.links.CloseAll();
  } else {
    parts_.links.Close(log->origin().edge);
  }
  return absl::OkStatus();
}

}  // namespace selvage
