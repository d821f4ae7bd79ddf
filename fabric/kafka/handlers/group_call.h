#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/call.h"
#include "fabric/kafka/handlers/context.h"

namespace selvage::kafka {

/// Asks the group service and suspends until it answers. Nothing when the connection went first: then the
/// response is for nobody.
template <class Answer>
Awaitable<std::optional<Answer>> AwaitAnswer(
    Context& context, Call& call, std::function<group::RequestId(GroupService::Done<Answer>)> ask) {
  struct Slot {
    absl::Mutex mutex;
    std::optional<Answer> answer;
  };
  auto slot = std::make_shared<Slot>();
  call.Park();
  const group::RequestId id = ask([slot, wake = call.closed()](Answer answer) {
    {
      absl::MutexLock lock(&slot->mutex);
      slot->answer = std::move(answer);
    }
    wake->Raise();
  });
  while (true) {
    {
      absl::MutexLock lock(&slot->mutex);
      if (slot->answer) co_return std::move(slot->answer);
    }
    if (call.is_closed()) break;
    co_await call.closed()->Wait();
  }
  context.groups.Forget(id);
  co_return std::nullopt;
}

}  // namespace selvage::kafka
