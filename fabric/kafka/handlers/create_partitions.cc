#include "fabric/kafka/protocol/create_partitions.h"

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"

namespace selvage::kafka {
namespace {

absl::Status CheckAssignments(const CreatePartitionsRequest::Topic& asked, int32_t have) {
  if (!asked.assignments) return absl::OkStatus();
  const bool to_this = std::all_of(
      asked.assignments->begin(), asked.assignments->end(),
      [](const auto& assignment) { return assignment.broker_ids == std::vector<int32_t>{kNodeId}; });
  if (to_this && static_cast<int64_t>(asked.assignments->size()) == int64_t{asked.count} - have)
    return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_assignment",
                   "an assignment other than of each new partition to broker 0");
}

absl::Status Create(Context& context, const CreatePartitionsRequest::Topic& asked, bool validate_only) {
  SELVAGE_ASSIGN_OR_RETURN(const Topic topic, context.topics.Find(asked.name));
  SELVAGE_RETURN_IF_ERROR(CheckAssignments(asked, topic.partitions));
  return context.topics.AddPartitions(asked.name, asked.count, validate_only);
}

CreatePartitionsResponse Handle(Context& context, int16_t, const CreatePartitionsRequest& request) {
  CreatePartitionsResponse response;
  for (const CreatePartitionsRequest::Topic& asked : request.topics) {
    const absl::Status created = Create(context, asked, request.validate_only);
    auto& row = response.results.emplace_back();
    row.name = asked.name;
    row.error_code = CodeOf(created);
    if (!created.ok()) row.error_message = MessageOf(created);
  }
  return response;
}

}  // namespace

const ServedApi kServeCreatePartitions = {
    ApiKey::kCreatePartitions, 0, 3,
    &ServeBlocking<CreatePartitionsRequest, CreatePartitionsResponse, &Handle>};

}  // namespace selvage::kafka
