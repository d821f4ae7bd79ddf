#include "fabric/kafka/protocol/heartbeat.h"

#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/api_table.h"

namespace selvage::kafka {
namespace {

Awaitable<HeartbeatResponse> Handle(Context& context, Call&, HeartbeatRequest request) {
  HeartbeatResponse response;
  response.error_code =
      context.groups.Heartbeat({std::move(request.group_id), std::move(request.member_id),
                                std::move(request.group_instance_id), request.generation_id});
  co_return response;
}

}  // namespace

const ServedApi kServeHeartbeat = {ApiKey::kHeartbeat, 0, 4,
                                   &ServeWith<HeartbeatRequest, HeartbeatResponse, &Handle>};

}  // namespace selvage::kafka
