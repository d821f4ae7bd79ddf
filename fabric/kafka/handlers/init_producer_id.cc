#include "fabric/kafka/protocol/init_producer_id.h"

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/blocking.h"
#include "fabric/kafka/handlers/errors.h"
#include "fabric/kafka/handlers/producer_ids.h"

namespace selvage::kafka {
namespace {

InitProducerIdResponse Handle(Context& context, int16_t, const InitProducerIdRequest& request) {
  InitProducerIdResponse response;
  if (request.transactional_id) {
    // What makes every client give up at once.
    response.error_code = ErrorCode::kTransactionalIdAuthorizationFailed;
    return response;
  }
  // A producer that asks again gets another id, which is as good as a new epoch.
  const auto id = context.producer_ids.Next();
  if (id.ok()) {
    response.producer_id = *id;
  } else {
    // To most clients every code but a few is the end of the producer. This one they wait out.
    response.error_code =
        IsRetryable(id.status()) ? ErrorCode::kCoordinatorLoadInProgress : CodeOf(id.status());
  }
  return response;
}

}  // namespace

const ServedApi kServeInitProducerId = {
    ApiKey::kInitProducerId, 0, 4, &ServeBlocking<InitProducerIdRequest, InitProducerIdResponse, &Handle>};

}  // namespace selvage::kafka
