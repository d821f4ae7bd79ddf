#include "fabric/admin/admin_backend.h"

#include <fmt/format.h>

#include "fabric/base/error.h"

namespace selvage {

v1::LogSummary SummaryOf(Log& log) {
  const LogState state = log.state();
  v1::LogSummary summary;
  summary.set_edge(log.origin().edge);
  summary.set_slot(log.origin().slot.value());
  summary.set_stream(log.origin().stream);
  summary.set_partition(log.origin().partition.value());
  summary.set_topic_partition(log.origin().partition.value());
  summary.set_log_id(state.id.bytes());
  summary.set_start(state.log_start().value());
  summary.set_end(state.end.value());
  summary.set_bytes(state.bytes());
  const std::optional<Offset> acknowledged = log.acknowledged();
  summary.set_acked(acknowledged ? acknowledged->value() : -1);
  summary.set_leader_epoch(state.leader_epoch().value());
  summary.set_superseded(log.superseded());
  return summary;
}

absl::Status UnknownStream(const std::string& stream) {
  // The name comes from a caller, so only its first part is shown.
  return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                   fmt::format("there is no stream {}", stream.substr(0, 200)),
                   "selvagectl stream list shows what there is");
}

absl::Status WrongPartition(const v1::LogAddress& address, std::string_view allowed) {
  return MakeError(absl::StatusCode::kInvalidArgument, "wrong_partition",
                   fmt::format("stream {} has no partition {} here", address.stream(), address.partition()),
                   allowed);
}

absl::Status NotReplicatedYet(const v1::LogAddress& address, std::string_view source) {
  return MakeError(absl::StatusCode::kNotFound, "not_replicated_yet",
                   fmt::format("{} has not sent partition {} of stream {} yet", source, address.partition(),
                               address.stream()),
                   "it comes with the link: selvagectl status shows how the flows stand", Retry::kYes);
}

}  // namespace selvage
