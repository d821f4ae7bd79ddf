#include "fabric/kafka/protocol/join_group.h"

#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/group_call.h"

namespace selvage::kafka {
namespace {

group::JoinRequest ToJoin(const Call& call, JoinGroupRequest request) {
  group::JoinRequest join;
  join.group = std::move(request.group_id);
  join.member_id = std::move(request.member_id);
  join.instance_id = std::move(request.group_instance_id);
  join.client_id = call.client_id();
  join.client_host = call.client_host();
  join.session_timeout = absl::Milliseconds(request.session_timeout_ms);
  join.rebalance_timeout = absl::Milliseconds(request.rebalance_timeout_ms);
  join.protocol_type = std::move(request.protocol_type);
  for (JoinGroupRequest::Protocol& protocol : request.protocols) {
    join.protocols.push_back({std::move(protocol.name), std::move(protocol.metadata)});
  }
  join.require_member_id = call.version() >= 4;
  join.supports_skip_assignment = call.version() >= 9;
  return join;
}

Awaitable<JoinGroupResponse> Handle(Context& context, Call& call, JoinGroupRequest request) {
  group::JoinRequest join = ToJoin(call, std::move(request));
  auto ask = [&](GroupService::Done<group::JoinAnswer> done) {
    return context.groups.Join(std::move(join), std::move(done));
  };
  auto answer = co_await AwaitAnswer<group::JoinAnswer>(context, call, ask);
  JoinGroupResponse response;
  if (!answer) co_return response;
  response.error_code = answer->error;
  response.generation_id = answer->generation;
  if (answer->error == ErrorCode::kNone) {
    response.protocol_type = std::move(answer->protocol_type);
    response.protocol_name = std::move(answer->protocol);
  }
  response.leader = std::move(answer->leader);
  response.skip_assignment = answer->skip_assignment;
  response.member_id = std::move(answer->member_id);
  for (group::JoinedMember& member : answer->members) {
    response.members.push_back(
        {std::move(member.member_id), std::move(member.instance_id), std::move(member.metadata)});
  }
  co_return response;
}

}  // namespace

// librdkafka before 2.11 has no consumer groups where version 0 is not advertised.
const ServedApi kServeJoinGroup = {ApiKey::kJoinGroup, 0, 9,
                                   &ServeWith<JoinGroupRequest, JoinGroupResponse, &Handle>};

}  // namespace selvage::kafka
