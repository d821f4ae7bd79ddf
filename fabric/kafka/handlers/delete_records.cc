#include "fabric/kafka/protocol/delete_records.h"

#include <fmt/format.h>

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"

namespace selvage::kafka {
namespace {

constexpr int64_t kHighWatermark = -1;

absl::StatusOr<Offset> Delete(Context& context, const std::string& name, int32_t partition, int64_t offset) {
  SELVAGE_ASSIGN_OR_RETURN(const Topic topic, context.topics.Find(name));
  SELVAGE_ASSIGN_OR_RETURN(Log * log, context.topics.MakeForWriting(name, partition));
  const LogState state = log->state();
  const Offset to = offset == kHighWatermark ? state.end : Offset(offset);
  if (to < Offset(0) || to > state.end) {
    return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                     fmt::format("offset {} of a log that ends at {}", offset, state.end.value()));
  }
  // Nothing that the other end still needs is forgotten on a client's word.
  if (context.node.ReplicatedFromHere(log->origin(), topic.definition) &&
      to > std::max(state.log_start(), log->acknowledged().value_or(state.base))) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "unacknowledged",
                     fmt::format("records before offset {} are not replicated yet", to.value()));
  }
  SELVAGE_RETURN_IF_ERROR(log->DeleteRecords(to));
  return log->state().log_start();
}

DeleteRecordsResponse Handle(Context& context, int16_t, const DeleteRecordsRequest& request) {
  DeleteRecordsResponse response;
  for (const DeleteRecordsRequest::Topic& topic : request.topics) {
    auto& rows = response.topics.emplace_back();
    rows.name = topic.name;
    for (const auto& asked : topic.partitions) {
      const auto low = Delete(context, topic.name, asked.partition_index, asked.offset);
      rows.partitions.push_back({asked.partition_index, low.ok() ? low->value() : -1, CodeOf(low.status())});
    }
  }
  return response;
}

}  // namespace

const ServedApi kServeDeleteRecords = {ApiKey::kDeleteRecords, 0, 2,
                                       &ServeBlocking<DeleteRecordsRequest, DeleteRecordsResponse, &Handle>};

}  // namespace selvage::kafka
