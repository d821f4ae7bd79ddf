#include "fabric/kafka/protocol/sync_group.h"

#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/group_call.h"

namespace selvage::kafka {
namespace {

group::SyncRequest ToSync(SyncGroupRequest request) {
  group::SyncRequest sync;
  sync.group = std::move(request.group_id);
  sync.member_id = std::move(request.member_id);
  sync.instance_id = std::move(request.group_instance_id);
  sync.generation = request.generation_id;
  sync.protocol_type = std::move(request.protocol_type);
  sync.protocol = std::move(request.protocol_name);
  for (SyncGroupRequest::Assignment& each : request.assignments) {
    sync.assignments.push_back({std::move(each.member_id), std::move(each.assignment)});
  }
  return sync;
}

Awaitable<SyncGroupResponse> Handle(Context& context, Call& call, SyncGroupRequest request) {
  group::SyncRequest sync = ToSync(std::move(request));
  auto ask = [&](GroupService::Done<group::SyncAnswer> done) {
    return context.groups.Sync(std::move(sync), std::move(done));
  };
  auto answer = co_await AwaitAnswer<group::SyncAnswer>(context, call, ask);
  SyncGroupResponse response;
  if (!answer) co_return response;
  response.error_code = answer->error;
  if (answer->error == ErrorCode::kNone) {
    response.protocol_type = std::move(answer->protocol_type);
    response.protocol_name = std::move(answer->protocol);
  }
  response.assignment = std::move(answer->assignment);
  co_return response;
}

}  // namespace

const ServedApi kServeSyncGroup = {ApiKey::kSyncGroup, 0, 5,
                                   &ServeWith<SyncGroupRequest, SyncGroupResponse, &Handle>};

}  // namespace selvage::kafka
