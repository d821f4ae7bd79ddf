#include "fabric/kafka/protocol/offset_for_leader_epoch.h"

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/errors.h"
#include "fabric/kafka/handlers/leader_epoch.h"

namespace selvage::kafka {
namespace {

/// The newest epoch up to the one asked for, and where it ended; nothing for an epoch that has not begun.
void Find(const LogState& state, int32_t epoch, OffsetForLeaderEpochResponse::Topic::Partition& row) {
  if (epoch < 0 || epoch > state.leader_epoch().value()) return;
  row.leader_epoch = epoch;
  row.end_offset = state.end.value();
  for (auto at = state.leader_epochs.rbegin(); at != state.leader_epochs.rend(); ++at) {
    if (at->first.value() <= epoch) {
      row.leader_epoch = at->first.value();
      return;
    }
    row.end_offset = at->second.value();
  }
}

void Answer(Context& context, const std::string& topic,
            const OffsetForLeaderEpochRequest::Topic::Partition& asked,
            OffsetForLeaderEpochResponse::Topic::Partition& row) {
  auto log = context.topics.FindForReading(topic, asked.partition);
  row.error_code = CodeOf(log.status());
  if (!log.ok()) return;
  const LogState state = *log == nullptr ? LogState() : (*log)->state();  // advertised ahead: empty
  row.error_code = CheckLeaderEpoch(state, asked.current_leader_epoch);
  if (row.error_code == ErrorCode::kNone) Find(state, asked.leader_epoch, row);
}

Awaitable<OffsetForLeaderEpochResponse> Handle(Context& context, Call&, OffsetForLeaderEpochRequest request) {
  OffsetForLeaderEpochResponse response;
  for (const OffsetForLeaderEpochRequest::Topic& topic : request.topics) {
    auto& rows = response.topics.emplace_back();
    rows.topic = topic.topic;
    for (const OffsetForLeaderEpochRequest::Topic::Partition& asked : topic.partitions) {
      OffsetForLeaderEpochResponse::Topic::Partition& row = rows.partitions.emplace_back();
      row.partition = asked.partition;
      Answer(context, topic.topic, asked, row);
    }
  }
  co_return response;
}

}  // namespace

const ServedApi kServeOffsetForLeaderEpoch = {
    ApiKey::kOffsetForLeaderEpoch, 2, 4,
    &ServeWith<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, &Handle>};

}  // namespace selvage::kafka
