#pragma once

#include <boost/asio/co_spawn.hpp>
#include <type_traits>
#include <utility>

#include "fabric/kafka/handlers/served_api.h"

namespace selvage::kafka {

/// Runs `work`, which may wait for the disk, on a thread that is there for that, so that the clients who read
/// and write meanwhile do not wait too. What it refers to must outlive the call.
template <class F>
Awaitable<std::invoke_result_t<F>> RunBlocking(Context& context, F work) {
  co_return co_await boost::asio::co_spawn(
      context.blocking.executor(),
      [](F run) -> Awaitable<std::invoke_result_t<F>> { co_return run(); }(std::move(work)),
      boost::asio::use_awaitable);
}

/// ServeWith for a handler that waits for the disk and needs nothing of the call but the version.
template <class Request, class Response, Response (*handle)(Context&, int16_t version, const Request&)>
Awaitable<absl::StatusOr<Reply>> ServeBlocking(Context& context, Call& call, Reader& body) {
  const absl::StatusOr<Request> request = Decode<Request>(body, call.version());
  if (!request.ok()) co_return request.status();
  const Response response =
      co_await RunBlocking(context, [&] { return handle(context, call.version(), *request); });
  auto frame = EncodeResponse(call.version(), call.header().correlation_id, response);
  if (!frame.ok()) co_return frame.status();
  co_return Reply(*std::move(frame));
}

}  // namespace selvage::kafka
