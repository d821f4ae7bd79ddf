#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <memory>
#include <string>
#include <utility>

#include "fabric/link/call_flows.h"

namespace selvage {

/// Makes calls of this process's own services for operators whose calls come over the link: what a
/// NodeCaller does at the node that a call is for. Safe to use from several threads.
class LocalCalls {
 public:
  /// `channel` is the server's in-process channel (GrpcServer::InProcessChannel), `secret` the one
  /// that the services take (CallRunner::local_secret).
  LocalCalls(const std::shared_ptr<grpc::Channel>& channel, std::string secret)
      : secret_(std::move(secret)), stub_(channel) {}

  void Call(const NodeCall& call, CallDone done);

 private:
  const std::string secret_;
  grpc::GenericStub stub_;
};

}  // namespace selvage
