#include "fabric/kafka/protocol/list_groups.h"

#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/api_table.h"

namespace selvage::kafka {
namespace {

Awaitable<ListGroupsResponse> Handle(Context& context, Call&, ListGroupsRequest request) {
  ListGroupsResponse response;
  for (group::GroupListing& listed : context.groups.List(request.states_filter, request.types_filter)) {
    response.groups.push_back({std::move(listed.group), std::move(listed.protocol_type),
                               std::move(listed.state), std::move(listed.type)});
  }
  co_return response;
}

}  // namespace

const ServedApi kServeListGroups = {ApiKey::kListGroups, 0, 5,
                                    &ServeWith<ListGroupsRequest, ListGroupsResponse, &Handle>};

}  // namespace selvage::kafka
