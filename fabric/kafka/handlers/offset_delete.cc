#include "fabric/kafka/protocol/offset_delete.h"

#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/group_call.h"

namespace selvage::kafka {
namespace {

Awaitable<OffsetDeleteResponse> Handle(Context& context, Call& call, OffsetDeleteRequest request) {
  group::DeleteOffsetsRequest wanted{std::move(request.group_id), {}};
  for (const OffsetDeleteRequest::Topic& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      wanted.partitions.push_back({topic.name, partition.partition_index});
    }
  }
  auto ask = [&](GroupService::Done<group::DeleteOffsetsAnswer> done) {
    return context.groups.DeleteOffsets(std::move(wanted), std::move(done));
  };
  auto answer = co_await AwaitAnswer<group::DeleteOffsetsAnswer>(context, call, ask);
  OffsetDeleteResponse response;
  if (!answer) co_return response;
  response.error_code = answer->error;
  if (answer->error != ErrorCode::kNone) co_return response;
  size_t next = 0;
  for (const OffsetDeleteRequest::Topic& topic : request.topics) {
    auto& rows = response.topics.emplace_back();
    rows.name = topic.name;
    for (const auto& partition : topic.partitions) {
      rows.partitions.push_back({partition.partition_index, answer->partitions[next++]});
    }
  }
  co_return response;
}

}  // namespace

const ServedApi kServeOffsetDelete = {ApiKey::kOffsetDelete, 0, 0,
                                      &ServeWith<OffsetDeleteRequest, OffsetDeleteResponse, &Handle>};

}  // namespace selvage::kafka
