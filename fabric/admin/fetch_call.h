#pragma once

#include <grpcpp/server_context.h>

#include <functional>
#include <memory>

#include "fabric/admin/admin_backend.h"
#include "fabric/admin/waiting_call.h"

namespace selvage {

/// One Fetch, which waits for a log to grow.
class FetchCall final : public WaitingCall {
 public:
  /// `context`, `request` and `response` are gRPC's, valid until OnDone; the rest outlives the call.
  FetchCall(Shared& shared, AdminBackend& backend, grpc::CallbackServerContext* context,
            const v1::FetchRequest* request, v1::FetchResponse* response)
      : WaitingCall(shared, context), backend_(backend), request_(request), response_(response) {}

 private:
  absl::StatusOr<bool> Read() override;
  void ClearResponse() override { response_->Clear(); }
  absl::Duration wait() const override { return absl::Milliseconds(request_->max_wait_ms()); }
  void Watch(std::function<void()> wake) override { watch_ = log_->Watch(std::move(wake)); }
  void Unwatch() override { log_->Unwatch(watch_); }

  AdminBackend& backend_;
  const v1::FetchRequest* const request_;
  v1::FetchResponse* const response_;
  std::shared_ptr<Log> log_;
  int watch_ = 0;
};

}  // namespace selvage
