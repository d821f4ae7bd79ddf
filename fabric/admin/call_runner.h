#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "fabric/admin/admin_backend.h"
#include "fabric/admin/call_gate.h"
#include "fabric/admin/call_pool.h"
#include "fabric/security/authorizer.h"
#include "fabric/telemetry/metrics.h"

namespace selvage {

/// Does the calls of a node's services for operators. Every call is authenticated by the caller's
/// certificate, authorised, counted when it fails, and worked on by a small pool, so that none of gRPC's
/// threads waits for a disk. One that is meant for an edge is passed on over its link. Safe to use from
/// several threads.
///
/// Stop the server before the services and this are destroyed, and destroy this before the committer stops.
class CallRunner {
 public:
  /// Everything must outlive the runner.
  struct Options {
    AdminBackend& backend;
    const Authorizer& authorizer;
    Metrics& metrics;
    OverLink over_link = OverLink::kRead;  ///< what operators may do who call over the link
    CallPool::Options pool = {};
  };
  explicit CallRunner(const Options& options);

  /// What LocalCalls show; made anew for each runner.
  const std::string& local_secret() const { return local_secret_; }
  const CallGate& gate() const { return gate_; }
  CallPool& pool() { return pool_; }

  using Done = std::function<void(const absl::Status& outcome)>;
  using Message = google::protobuf::Message;

  /// Admits the call and has `work` done on the pool, or passes it on. `call`, `request` and `response` must
  /// live until the call ends.
  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* context, const CallGate::Call& call,
                                const Message* request, Message* response,
                                std::function<absl::Status()> work);
  /// Run for work that ends later: it calls Done once, from any thread that may not block. The request holds
  /// so many bytes.
  grpc::ServerUnaryReactor* RunAsync(grpc::CallbackServerContext* context, const CallGate::Call& call,
                                     const Message* request, Message* response, size_t bytes,
                                     std::function<void(Done)> work);

 private:
  /// Has the edge make the call, for `caller`.
  void PassOn(const std::string& edge, const grpc::CallbackServerContext& context, const CallGate::Call& call,
              const std::string& caller, const Message& request, Message* response, Done done);

  AdminBackend& backend_;
  const std::string local_secret_;
  const CallGate gate_;
  CallPool pool_;
};

}  // namespace selvage
