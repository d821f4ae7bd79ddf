#pragma once

#include <grpcpp/server_context.h>

#include <functional>
#include <optional>

#include "fabric/admin/waiting_call.h"
#include "fabric/table/table_store.h"
#include "selvage/v1/table.pb.h"

namespace selvage {

/// One WatchTable, which waits for rows to change.
class WatchCall final : public WaitingCall {
 public:
  /// `context`, `request` and `response` are gRPC's, valid until OnDone; the rest outlives the call.
  WatchCall(Shared& shared, table::TableStore& tables, grpc::CallbackServerContext* context,
            const v1::WatchTableRequest* request, v1::WatchTableResponse* response)
      : WaitingCall(shared, context), tables_(tables), request_(request), response_(response) {}

 private:
  absl::StatusOr<bool> Read() override;
  void ClearResponse() override { response_->Clear(); }
  absl::Duration wait() const override { return absl::Milliseconds(request_->max_wait_ms()); }
  void Watch(std::function<void()> wake) override {
    watch_ = tables_.WatchRows(request_->table(), request_->prefix(), std::move(wake));
  }
  void Unwatch() override { tables_.Unwatch(watch_); }
  /// Rows may be written all the time: so a thousand calls for them cost little beside that.
  absl::Duration pause() const override { return absl::Milliseconds(50); }

  absl::StatusOr<table::FeedPosition> Start() const;

  table::TableStore& tables_;
  const v1::WatchTableRequest* const request_;
  v1::WatchTableResponse* const response_;
  std::optional<table::FeedPosition> from_;
  int watch_ = 0;
};

}  // namespace selvage
