#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/core_document.h"
#include "core/edge_links.h"
#include "core/fleet_streams.h"
#include "fabric/base/random.h"
#include "fabric/node/alarm_book.h"
#include "fabric/stream/log_store.h"
#include "fabric/stream/stream_catalog.h"
#include "selvage/v1/link.pb.h"

namespace selvage {

/// The logs that flows of edges go into and come from: makes those that are missing. Safe to use from several
/// threads.
class EdgeLogs {
 public:
  struct DownLog {
    std::shared_ptr<Log> log;
    v1::StreamDefinition definition;
  };

  /// What it uses of the core. All of it must outlive it.
  struct Parts {
    Random& random;
    LogStore& logs;
    const StreamCatalog& catalog;
    AlarmBook& alarms;
    CoreDocument& core;
    FleetStreams& streams;
    const EdgeLinks& links;
  };

  explicit EdgeLogs(const Parts& parts) : parts_(parts) {}

  /// The log that an edge's offer goes into, made if need be, with its stream. Errors: "definition_mismatch",
  /// "wrong_partition", "protocol_error", "permission_denied", "unknown_stream", "too_many_logs", those of
  /// FleetStreams::CreateOffered.
  absl::StatusOr<std::shared_ptr<Log>> ForOffer(const std::string& edge, Slot slot, const v1::FlowOpen& open);
  /// The logs to send to an edge: its own of each per-edge down stream, and the shared ones.
  absl::StatusOr<std::vector<DownLog>> Down(const std::string& edge);
  /// An edge holds another history of a down log from `from` on: this core was set back. The log gets a new
  /// id, so that nothing the edges hold is overwritten, and every link that has it ends. What a shared log
  /// holds is sent anew from its start, since not every edge is where this one is.
  absl::Status BranchDown(const std::shared_ptr<Log>& log, const LogPosition& from);

 private:
  /// Finds the stream of an offer, or makes it. The offered definition is complete.
  absl::Status CheckStream(const std::string& edge, const v1::StreamDefinition& offered);
  /// Error: "too_many_logs".
  absl::Status CheckCount(const std::string& edge) const;
  absl::StatusOr<std::shared_ptr<Log>> FindOrMake(const LogOrigin& origin);

  const Parts parts_;
};

}  // namespace selvage
