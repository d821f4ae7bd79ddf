#include "fabric/kafka/protocol/describe_groups.h"

#include <string_view>
#include <unordered_set>

#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/authorized_operations.h"

namespace selvage::kafka {
namespace {

DescribeGroupsResponse::Group Describe(const GroupService& groups, const std::string& id) {
  DescribeGroupsResponse::Group row;
  row.group_id = id;
  if (id.empty()) {
    row.error_code = ErrorCode::kInvalidGroupId;
    return row;
  }
  group::GroupDescription described = groups.Describe(id);
  row.group_state = std::move(described.state);
  row.protocol_type = std::move(described.protocol_type);
  row.protocol_data = std::move(described.protocol);
  for (group::MemberDescription& member : described.members) {
    row.members.push_back({std::move(member.member_id), std::move(member.instance_id),
                           std::move(member.client_id), std::move(member.client_host),
                           std::move(member.metadata), std::move(member.assignment)});
  }
  return row;
}

Awaitable<DescribeGroupsResponse> Handle(Context& context, Call&, DescribeGroupsRequest request) {
  DescribeGroupsResponse response;
  std::unordered_set<std::string_view> named;
  for (const std::string& id : request.groups) {
    if (!named.insert(id).second) continue;
    DescribeGroupsResponse::Group& row = response.groups.emplace_back(Describe(context.groups, id));
    if (request.include_authorized_operations) row.authorized_operations = kGroupOperations;
  }
  co_return response;
}

}  // namespace

const ServedApi kServeDescribeGroups = {ApiKey::kDescribeGroups, 0, 5,
                                        &ServeWith<DescribeGroupsRequest, DescribeGroupsResponse, &Handle>};

}  // namespace selvage::kafka
