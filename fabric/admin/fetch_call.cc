#include "fabric/admin/fetch_call.h"

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include "fabric/admin/log_pages.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

/// Calls of one node that wait for a log to grow; each holds its connection and some kilobytes.
constexpr int kWaitingMax = 1000;

}  // namespace

FetchCall::FetchCall(Shared& shared, grpc::CallbackServerContext* context, const v1::FetchRequest* request,
                     v1::FetchResponse* response)
    : shared_(shared),
      context_(context),
      request_(request),
      response_(response),
      strand_(shared.pool.executor()),
      timer_(strand_) {}

grpc::ServerUnaryReactor* FetchCall::Start(Shared& shared, grpc::CallbackServerContext* context,
                                           const v1::FetchRequest* request, v1::FetchResponse* response) {
  auto call = std::make_shared<FetchCall>(shared, context, request, response);
  call->self_ = call;
  auto caller = shared.gate.Admit(*context, shared.call);
  if (!caller.ok()) {
    call->woken_ = true;
    call->Finish(shared.gate.Conclude(caller.status(), shared.call, "", *context));
    return call.get();
  }
  call->caller_ = *caller;
  const bool taken =
      shared.pool.TryRun(0, [call] { boost::asio::dispatch(call->strand_, [call] { call->Begin(); }); });
  if (!taken) {
    call->woken_ = true;
    call->Finish(shared.gate.Conclude(Overloaded(), shared.call, call->caller_, *context));
  }
  return call.get();
}

void FetchCall::Begin() {
  if (concluded_) return;
  auto log = shared_.backend.FindLog(request_->address(), LogUse::kRead);
  if (!log.ok()) return Conclude(log.status());
  log_ = *log;
  const absl::Status read = Read();
  const bool answered = !read.ok() || response_->entries_size() > 0 || request_->max_wait_ms() == 0;
  if (answered) return Conclude(read);
  if (shared_.waiting.fetch_add(1) >= kWaitingMax) {
    shared_.waiting.fetch_sub(1);
    return Conclude(Overloaded());
  }
  Wait();
}

void FetchCall::Wait() {
  waits_ = true;
  // Weak: gRPC's own hold ends the call, and a log must not keep what nobody waits for.
  watch_ = log_->Watch([call = weak_from_this()] {
    if (auto alive = call.lock()) alive->Wake();
  });
  const absl::Duration wait = std::min(absl::Milliseconds(request_->max_wait_ms()), kFetchWaitMax);
  timer_.expires_after(absl::ToChronoMilliseconds(wait));
  timer_.async_wait([call = shared_from_this()](const boost::system::error_code& error) {
    if (!error) call->Wake();
  });
  // What came between the read and the watch.
  if (log_->state().end.value() > response_->next_offset()) Wake();
}

void FetchCall::Wake() {
  if (woken_.exchange(true)) return;
  boost::asio::post(strand_, [call = shared_from_this()] { call->Answer(); });
}

void FetchCall::Answer() {
  if (concluded_) return;
  if (context_->IsCancelled()) {
    return Conclude(MakeError(absl::StatusCode::kCancelled, "cancelled", "the caller is gone"));
  }
  if (log_ == nullptr) return;  // not begun: only a caller that is gone wakes a call so early
  Conclude(Read());
}

absl::Status FetchCall::Read() {
  v1::FetchRequest request = *request_;
  // A wait at the end goes on from where the end was when the call began.
  if (waits_) request.set_offset(response_->next_offset());
  response_->Clear();
  return FetchPage(*log_, request, *response_);
}

void FetchCall::Conclude(const absl::Status& outcome) {
  concluded_ = true;
  if (waits_) {
    log_->Unwatch(watch_);
    timer_.cancel();
    shared_.waiting.fetch_sub(1);
  }
  if (!outcome.ok()) response_->Clear();
  Finish(shared_.gate.Conclude(outcome, shared_.call, caller_, *context_));
}

}  // namespace selvage
