#include "fabric/kafka/protocol/leave_group.h"

#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/group_call.h"

namespace selvage::kafka {
namespace {

/// From here on several may leave, static ones by their instance.
constexpr int16_t kSeveral = 3;

Awaitable<LeaveGroupResponse> Handle(Context& context, Call& call, LeaveGroupRequest request) {
  if (call.version() < kSeveral) request.members = {{request.member_id, std::nullopt, std::nullopt}};
  group::LeaveRequest leave{std::move(request.group_id), {}};
  for (const LeaveGroupRequest::Member& member : request.members) {
    leave.members.push_back({member.member_id, member.group_instance_id});
  }
  auto ask = [&](GroupService::Done<group::LeaveAnswer> done) {
    return context.groups.Leave(std::move(leave), std::move(done));
  };
  auto answer = co_await AwaitAnswer<group::LeaveAnswer>(context, call, ask);
  LeaveGroupResponse response;
  if (!answer) co_return response;
  response.error_code = answer->error;
  if (answer->error != ErrorCode::kNone) co_return response;
  if (call.version() < kSeveral) {
    response.error_code = answer->members.front();
    co_return response;
  }
  for (size_t i = 0; i < answer->members.size(); ++i) {
    LeaveGroupRequest::Member& member = request.members[i];
    response.members.push_back(
        {std::move(member.member_id), std::move(member.group_instance_id), answer->members[i]});
  }
  co_return response;
}

}  // namespace

const ServedApi kServeLeaveGroup = {ApiKey::kLeaveGroup, 0, 5,
                                    &ServeWith<LeaveGroupRequest, LeaveGroupResponse, &Handle>};

}  // namespace selvage::kafka
