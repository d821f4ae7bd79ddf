#include "fabric/kafka/protocol/delete_records.h"

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"

namespace selvage::kafka {
namespace {

constexpr int64_t kHighWatermark = -1;

absl::StatusOr<Offset> Delete(Context& context, const std::string& name, int32_t partition, int64_t offset) {
  SELVAGE_ASSIGN_OR_RETURN(const Topic topic, context.topics.Find(name));
  SELVAGE_ASSIGN_OR_RETURN(const std::shared_ptr<Log> log, context.topics.MakeForWriting(name, partition));
  const Offset to = offset == kHighWatermark ? log->state().end : Offset(offset);
  SELVAGE_RETURN_IF_ERROR(context.streams.DeleteRecords(*log, topic.definition, to));
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
