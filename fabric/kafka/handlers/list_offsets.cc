#include "fabric/kafka/protocol/list_offsets.h"

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"
#include "fabric/kafka/handlers/leader_epoch.h"

namespace selvage::kafka {
namespace {

constexpr int64_t kLatest = -1;
constexpr int64_t kEarliest = -2;
constexpr int64_t kMaxTimestamp = -3;

absl::Status FindByTime(Log& log, const Call& call, int64_t timestamp,
                        ListOffsetsResponse::Topic::Partition& row) {
  SELVAGE_ASSIGN_OR_RETURN(const std::optional<RecordTime> first,
                           log.FirstRecordAtOrAfter(timestamp, [&call] { return call.is_closed(); }));
  if (!first) return absl::OkStatus();  // no such record: -1
  row.offset = first->offset.value();
  row.timestamp = first->timestamp;
  return absl::OkStatus();
}

absl::Status Find(const std::shared_ptr<Log>& log, const Call& call,
                  const ListOffsetsRequest::Topic::Partition& asked,
                  ListOffsetsResponse::Topic::Partition& row) {
  if (log == nullptr) {
    if (asked.timestamp == kLatest || asked.timestamp == kEarliest) row.offset = 0;
    return absl::OkStatus();
  }
  const LogState state = log->state();
  row.leader_epoch = state.leader_epoch().value();
  row.error_code = CheckLeaderEpoch(state, asked.current_leader_epoch);
  if (row.error_code != ErrorCode::kNone) return absl::OkStatus();
  switch (asked.timestamp) {
    case kLatest:
      row.offset = state.end.value();
      return absl::OkStatus();
    case kEarliest:
      row.offset = state.log_start().value();
      return absl::OkStatus();
    case kMaxTimestamp:
      return state.max_timestamp < 0 ? absl::OkStatus() : FindByTime(*log, call, state.max_timestamp, row);
    default:
      return FindByTime(*log, call, asked.timestamp, row);
  }
}

bool ByTime(const ListOffsetsRequest::Topic::Partition& asked) {
  return asked.timestamp != kLatest && asked.timestamp != kEarliest;
}

ListOffsetsResponse FindAll(Context& context, const Call& call, const ListOffsetsRequest& request) {
  ListOffsetsResponse response;
  for (const ListOffsetsRequest::Topic& topic : request.topics) {
    auto& rows = response.topics.emplace_back();
    rows.name = topic.name;
    for (const ListOffsetsRequest::Topic::Partition& asked : topic.partitions) {
      ListOffsetsResponse::Topic::Partition& row = rows.partitions.emplace_back();
      row.partition_index = asked.partition_index;
      auto log = context.topics.FindForReading(topic.name, asked.partition_index);
      const absl::Status found = log.ok() ? Find(*log, call, asked, row) : log.status();
      if (!found.ok()) row.error_code = CodeOf(found);
    }
  }
  return response;
}

Awaitable<ListOffsetsResponse> Handle(Context& context, Call& call, ListOffsetsRequest request) {
  const bool by_time = std::any_of(request.topics.begin(), request.topics.end(), [](const auto& topic) {
    return std::any_of(topic.partitions.begin(), topic.partitions.end(), ByTime);
  });
  if (!by_time) co_return FindAll(context, call, request);
  // Where a late timestamp was trimmed away it reads a good part of the log.
  co_return co_await RunBlocking(context, [&] { return FindAll(context, call, request); });
}

}  // namespace

const ServedApi kServeListOffsets = {ApiKey::kListOffsets, 1, 7,
                                     &ServeWith<ListOffsetsRequest, ListOffsetsResponse, &Handle>};

}  // namespace selvage::kafka
