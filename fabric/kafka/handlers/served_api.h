#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/base/bytes.h"
#include "fabric/kafka/handlers/call.h"
#include "fabric/kafka/handlers/context.h"
#include "fabric/kafka/protocol/message.h"

namespace selvage::kafka {

/// The frame of a response, in segments; nothing when the request is not answered (Produce with acks 0).
using Reply = std::optional<std::vector<Bytes>>;

/// An API as it is served: from which version to which, and by what. One constant in the file of its handler.
struct ServedApi {
  ApiKey key;
  int16_t min;  ///< advertised
  int16_t max;
  /// `body` stands behind the header and is not used after the first suspension. An error ends the
  /// connection, as Kafka does with a request that cannot be read.
  Awaitable<absl::StatusOr<Reply>> (*serve)(Context& context, Call& call, Reader& body);
};

/// A handler takes the request and gives the response; by value, since it may suspend.
template <class Request, class Response, Awaitable<Response> (*handle)(Context&, Call&, Request)>
Awaitable<absl::StatusOr<Reply>> ServeWith(Context& context, Call& call, Reader& body) {
  absl::StatusOr<Request> request = Decode<Request>(body, call.version());
  if (!request.ok()) co_return request.status();
  const Response response = co_await handle(context, call, *std::move(request));
  auto frame = EncodeResponse(call.version(), call.header().correlation_id, response);
  if (!frame.ok()) co_return frame.status();
  co_return Reply(*std::move(frame));
}

}  // namespace selvage::kafka
