#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <memory>
#include <string>

#include "fabric/admin/admin_backend.h"
#include "fabric/admin/call_gate.h"
#include "fabric/admin/call_pool.h"

namespace selvage {

/// One Fetch: answers at once if there is something to read, else when the log grows, the wait is over or the
/// caller is gone. While it waits it occupies no thread. Keeps itself alive until gRPC is done with it.
class FetchCall final : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<FetchCall> {
 public:
  /// What the calls of a service share; outlives them.
  struct Shared {
    AdminBackend& backend;
    const CallGate& gate;
    CallPool& pool;
    const CallGate::Call call;
    std::atomic<int> waiting{0};
  };

  /// `context`, `request` and `response` are gRPC's, valid until OnDone.
  static grpc::ServerUnaryReactor* Start(Shared& shared, grpc::CallbackServerContext* context,
                                         const v1::FetchRequest* request, v1::FetchResponse* response);

  FetchCall(Shared& shared, grpc::CallbackServerContext* context, const v1::FetchRequest* request,
            v1::FetchResponse* response);

  void OnCancel() override { Wake(); }
  void OnDone() override { self_.reset(); }

 private:
  // On the strand.
  void Begin();
  void Wait();
  void Answer();
  void Conclude(const absl::Status& outcome);

  /// From any thread, never blocks: has the call answered with what there is.
  void Wake();
  absl::Status Read();

  Shared& shared_;
  grpc::CallbackServerContext* const context_;
  const v1::FetchRequest* const request_;
  v1::FetchResponse* const response_;
  boost::asio::strand<boost::asio::thread_pool::executor_type> strand_;
  boost::asio::steady_timer timer_;
  std::string caller_;
  std::shared_ptr<FetchCall> self_;
  std::atomic<bool> woken_{false};

  // The strand's.
  std::shared_ptr<Log> log_;
  bool waits_ = false;
  int watch_ = 0;
  bool concluded_ = false;
};

}  // namespace selvage
