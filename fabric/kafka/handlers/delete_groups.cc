#include "fabric/kafka/protocol/delete_groups.h"

#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/group_call.h"

namespace selvage::kafka {
namespace {

Awaitable<DeleteGroupsResponse> Handle(Context& context, Call& call, DeleteGroupsRequest request) {
  auto ask = [&](GroupService::Done<group::DeleteGroupsAnswer> done) {
    return context.groups.DeleteGroups(request.groups_names, std::move(done));
  };
  auto answer = co_await AwaitAnswer<group::DeleteGroupsAnswer>(context, call, ask);
  DeleteGroupsResponse response;
  if (!answer) co_return response;
  for (size_t i = 0; i < answer->groups.size(); ++i) {
    response.results.push_back({std::move(request.groups_names[i]), answer->groups[i]});
  }
  co_return response;
}

}  // namespace

const ServedApi kServeDeleteGroups = {ApiKey::kDeleteGroups, 0, 2,
                                      &ServeWith<DeleteGroupsRequest, DeleteGroupsResponse, &Handle>};

}  // namespace selvage::kafka
