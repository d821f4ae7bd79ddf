#include "fabric/kafka/protocol/find_coordinator.h"

#include "fabric/kafka/handlers/api_table.h"

namespace selvage::kafka {
namespace {

constexpr int8_t kGroup = 0;
constexpr int8_t kTransaction = 1;

FindCoordinatorResponse::Coordinator Find(const Context& context, const std::string& key, int8_t key_type) {
  FindCoordinatorResponse::Coordinator found;
  found.key = key;
  if (key_type == kGroup) {
    found.node_id = kNodeId;
    found.host = context.settings.host;
    found.port = context.settings.port;
    return found;
  }
  found.node_id = found.port = -1;
  // The one code on which every client gives up instead of asking again.
  const bool transaction = key_type == kTransaction;
  found.error_code =
      transaction ? ErrorCode::kTransactionalIdAuthorizationFailed : ErrorCode::kInvalidRequest;
  found.error_message = transaction ? "transactions are not supported; leave transactional.id out"
                                    : "only consumer groups have a coordinator";
  return found;
}

Awaitable<FindCoordinatorResponse> Handle(Context& context, Call& call, FindCoordinatorRequest request) {
  FindCoordinatorResponse response;
  if (call.version() >= 4) {
    for (const std::string& key : request.coordinator_keys) {
      response.coordinators.push_back(Find(context, key, request.key_type));
    }
    co_return response;
  }
  FindCoordinatorResponse::Coordinator found = Find(context, request.key, request.key_type);
  response.error_code = found.error_code;
  response.error_message = std::move(found.error_message);
  response.node_id = found.node_id;
  response.host = std::move(found.host);
  response.port = found.port;
  co_return response;
}

}  // namespace

const ServedApi kServeFindCoordinator = {
    ApiKey::kFindCoordinator, 0, 5, &ServeWith<FindCoordinatorRequest, FindCoordinatorResponse, &Handle>};

}  // namespace selvage::kafka
