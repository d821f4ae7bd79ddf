#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/telemetry/metrics.h"

namespace selvage {

/// One listener for gRPC services, set up for links that live long. It accepts connections itself, since gRPC
/// would take as many as come.
class GrpcServer {
 public:
  struct Options {
    std::string address;  ///< host:port; port 0 takes a free one
    std::shared_ptr<grpc::ServerCredentials> credentials;
    size_t request_max = 0;           ///< bytes of the largest request; a frame of the link always fits
    size_t connections_max = 10'000;  ///< one more is closed at once
    Metrics* metrics = nullptr;       ///< where refused connections are counted; must outlive the server
  };
  /// Listens and serves; accepts on `executor`. The services must outlive the server. Error: "listen_failed".
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const Options& options,
                                                           boost::asio::any_io_executor executor,
                                                           const std::vector<grpc::Service*>& services);
  /// Shuts down at once.
  ~GrpcServer();

  int port() const { return port_; }
  /// Calls of the services from within this process, past the listener and its TLS. Must not outlive the
  /// server.
  std::shared_ptr<grpc::Channel> InProcessChannel();
  /// Takes no more connections and calls, waits until those under way have ended, cuts them after `deadline`,
  /// and waits for their reactions. Stop link servers before.
  void Shutdown(absl::Duration deadline);

 private:
  class Acceptor;
  GrpcServer(std::unique_ptr<grpc::Server> server, std::shared_ptr<Acceptor> acceptor, int port)
      : server_(std::move(server)), acceptor_(std::move(acceptor)), port_(port) {}

  const std::unique_ptr<grpc::Server> server_;
  const std::shared_ptr<Acceptor> acceptor_;
  const int port_;
};

}  // namespace selvage
