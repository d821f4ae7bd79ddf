#include "fabric/admin/waiting_call.h"

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include "fabric/base/error.h"

namespace selvage {
namespace {

/// Calls of one method that wait; each holds its connection and some kilobytes.
constexpr int kWaitingMax = 1000;

}  // namespace

WaitingCall::WaitingCall(Shared& shared, grpc::CallbackServerContext* context)
    : shared_(shared), context_(context), strand_(shared.pool.executor()), timer_(strand_) {}

grpc::ServerUnaryReactor* WaitingCall::Start(const std::shared_ptr<WaitingCall>& call) {
  call->self_ = call;
  Shared& shared = call->shared_;
  auto caller = shared.gate.Admit(*call->context_, shared.call);
  if (!caller.ok()) {
    call->Refuse(caller.status());
    return call.get();
  }
  call->caller_ = *caller;
  const bool taken =
      shared.pool.TryRun(0, [call] { boost::asio::dispatch(call->strand_, [call] { call->Begin(); }); });
  if (!taken) call->Refuse(Overloaded());
  return call.get();
}

void WaitingCall::Refuse(const absl::Status& why) {
  woken_ = true;  // nothing wakes it
  Finish(shared_.gate.Conclude(why, shared_.call, caller_, *context_));
}

void WaitingCall::Begin() {
  if (concluded_) return;
  const absl::StatusOr<bool> found = Read();
  const absl::Duration wait = std::min(this->wait(), kCallWaitMax);
  if (!found.ok() || *found || wait <= absl::ZeroDuration()) return Conclude(found.status());
  if (shared_.waiting.fetch_add(1) >= kWaitingMax) {
    shared_.waiting.fetch_sub(1);
    return Conclude(Overloaded());
  }
  waits_ = true;
  timer_.expires_after(absl::ToChronoNanoseconds(wait));
  until_ = timer_.expiry();
  ArmTimer();
  StartWatch();
}

void WaitingCall::StartWatch() {
  watched_ = true;
  // Weak: gRPC's own hold ends the call, and what is watched must not keep what nobody waits for.
  Watch([call = weak_from_this()] {
    if (auto alive = call.lock()) alive->Wake();
  });
  // What came between the last read and the watch.
  ReadAgain();
}

void WaitingCall::ReadAgain() {
  const absl::StatusOr<bool> found = Read();
  if (!found.ok() || *found) Conclude(found.status());
}

void WaitingCall::Wake() {
  if (woken_.exchange(true)) return;
  boost::asio::post(strand_, [call = shared_from_this()] { call->Woken(); });
}

void WaitingCall::Woken() {
  if (concluded_) return;
  if (context_->IsCancelled()) {
    return Conclude(MakeError(absl::StatusCode::kCancelled, "cancelled", "the caller is gone"));
  }
  if (!waits_) return;  // not begun: only a caller that is gone wakes a call so early
  woken_ = false;       // before the read, so that what comes after it is not missed
  ReadAgain();
  if (!concluded_ && watched_ && pause() > absl::ZeroDuration()) Pause();
}

void WaitingCall::Pause() {
  watched_ = false;
  Unwatch();
  timer_.expires_after(absl::ToChronoNanoseconds(pause()));
  if (timer_.expiry() > until_) timer_.expires_at(until_);
  ArmTimer();
}

void WaitingCall::ArmTimer() {
  timer_.async_wait([call = shared_from_this()](const boost::system::error_code& error) {
    if (!error) call->OnTimer();
  });
}

void WaitingCall::OnTimer() {
  if (concluded_) return;
  if (timer_.expiry() >= until_) return Conclude(Read().status());
  timer_.expires_at(until_);
  ArmTimer();
  StartWatch();
}

void WaitingCall::Conclude(const absl::Status& outcome) {
  concluded_ = true;
  if (watched_) Unwatch();
  if (waits_) {
    timer_.cancel();
    shared_.waiting.fetch_sub(1);
  }
  if (!outcome.ok()) ClearResponse();
  Finish(shared_.gate.Conclude(outcome, shared_.call, caller_, *context_));
}

}  // namespace selvage
