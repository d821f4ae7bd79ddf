#pragma once

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace selvage {

/// One listener for gRPC services, set up for links that live long.
class GrpcServer {
 public:
  struct Options {
    std::string address;  ///< host:port; port 0 takes a free one
    std::shared_ptr<grpc::ServerCredentials> credentials;
    size_t request_max = 0;  ///< bytes of the largest request; a frame of the link always fits
  };
  /// Listens and serves. The services must outlive the server. Error: "listen_failed".
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const Options& options,
                                                           const std::vector<grpc::Service*>& services);
  /// Shuts down at once.
  ~GrpcServer();

  int port() const { return port_; }
  /// Takes no more calls, waits until those under way have ended, cuts them after `deadline`, and waits for
  /// their reactions. Stop link servers before.
  void Shutdown(absl::Duration deadline);

 private:
  GrpcServer(std::unique_ptr<grpc::Server> server, int port) : server_(std::move(server)), port_(port) {}

  const std::unique_ptr<grpc::Server> server_;
  const int port_;
};

}  // namespace selvage
