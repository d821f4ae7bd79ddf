#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/link/call_flows.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/admin.pb.h"

namespace selvage {

/// What an operator's call does with a log.
enum class LogUse { kRead, kWrite };

/// What edge and core answer differently to an operator; what they have in common is AdminService. Safe to
/// use from several threads; calls may wait for the disk. Errors are those of the parts behind it, and
/// "wrong_node" for what only the other kind of node can do.
class AdminBackend {
 public:
  virtual ~AdminBackend() = default;

  // Streams.
  virtual absl::StatusOr<v1::StreamDefinition> CreateStream(const v1::StreamDefinition& definition) = 0;
  virtual absl::StatusOr<v1::StreamDefinition> SetStream(const v1::SetStreamRequest& request) = 0;
  /// The number of logs that went with it.
  virtual absl::StatusOr<int> DeleteStream(const std::string& stream) = 0;
  /// Gives a stream another name, with all its records. Errors: "wrong_node", "stream_replicated",
  /// "stream_exists", "name_reserved".
  virtual absl::StatusOr<v1::StreamDefinition> RenameStream(const std::string& stream,
                                                            const std::string& to) = 0;
  /// The logs of one stream held here, also superseded ones; those of all streams when `stream` is empty.
  virtual std::vector<v1::LogSummary> Logs(const std::string& stream) = 0;
  /// The log that an address means; at the core, writing makes it if need be. Errors: "unknown_stream",
  /// "wrong_partition", "unknown_edge", "not_replicated_yet" (a retry helps), "wrong_node", "edge_needed" for
  /// a stream with a log for each edge, and for kWrite "read_only_replica", which says where the stream is
  /// written.
  virtual absl::StatusOr<std::shared_ptr<Log>> FindLog(const v1::LogAddress& address, LogUse use) = 0;

  // The fleet: at the core.
  virtual absl::StatusOr<std::vector<v1::EdgeSummary>> ListEdges(const v1::ListEdgesRequest& request) = 0;
  virtual absl::StatusOr<v1::EdgeSummary> SetEdge(const v1::SetEdgeRequest& request) = 0;
  virtual absl::StatusOr<v1::EdgeSummary> RetireEdge(const std::string& edge) = 0;
  virtual absl::StatusOr<std::vector<v1::LogSummary>> ListOrigins(const v1::ListOriginsRequest& request) = 0;
  /// Makes a call at an edge, over its link. `done` is called once, on any thread. Errors beside those of
  /// CallFlows::caller: "unknown_edge", "edge_offline" with the time it was last seen; at an edge
  /// "wrong_node".
  virtual void CallEdge(const std::string& edge, NodeCall call, CallDone done) = 0;

  /// The edges whose stores are known here, by store, also by former ones: at the core.
  virtual std::map<StoreId, std::string> EdgesOfStores() = 0;

  // What operators look at.
  virtual std::vector<v1::AlarmDocument> ListAlarms(bool also_resolved) = 0;
  /// How many ListAlarms would show that are open.
  virtual int OpenAlarms() = 0;
  virtual absl::StatusOr<v1::AlarmDocument> ResolveAlarm(uint64_t id, const std::string& action) = 0;
  /// True when losses of logs of this origin edge (empty: this node's own) are wanted by a request for
  /// `edge`.
  virtual bool IsOfEdge(const LogOrigin& origin, const std::string& edge) = 0;
  /// Everything but what the node state says.
  virtual absl::StatusOr<v1::GetStatusResponse> Status(const v1::GetStatusRequest& request) = 0;
};

/// One log as LogSummary shows it; `topic_partition` is set by whoever knows it.
v1::LogSummary SummaryOf(Log& log);

/// Errors that both kinds of node give.
absl::Status UnknownStream(const std::string& stream);
absl::Status WrongPartition(const v1::LogAddress& address, std::string_view allowed);
absl::Status NotReplicatedYet(const v1::LogAddress& address, std::string_view source);

}  // namespace selvage
