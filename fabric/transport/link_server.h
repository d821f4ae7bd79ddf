#pragma once

#include <grpcpp/impl/service_type.h>

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/replication/link_handler.h"
#include "fabric/replication/session.h"
#include "fabric/security/identity.h"

namespace selvage {

/// The core's end of the links: takes streams of authenticated edges and runs a session on each. A link that
/// is refused gets a Close frame with the reason. Safe to use from several threads.
class LinkServer {
 public:
  struct Options {
    std::function<std::string()>
        trust_domain;  ///< the only one whose edges are let in; as Authorizer asks for it
    /// An edge whose certificate is not valid today was refused. Called on a thread of gRPC, so it must not
    /// wait.
    std::function<void(const Identity& edge, const absl::Status& why)> out_of_date = {};
    replication::Session::Options session;  ///< is_edge is cleared here
    size_t max_links = 10'000;
    absl::Duration close_timeout = absl::Seconds(3);
  };
  /// Called for each link of an authenticated edge, on a thread of gRPC, so it must not wait; an error
  /// refuses the link. `wake` may be called at any time, from any thread, when the session may have something
  /// to send.
  using HandlerFactory = std::function<absl::StatusOr<std::shared_ptr<replication::LinkHandler>>(
      const Identity& edge, std::function<void()> wake)>;

  /// `clock` and the executor's threads must outlive it.
  LinkServer(Options options, boost::asio::any_io_executor executor, Clock& clock, HandlerFactory factory);
  /// Stops. The gRPC server that hosts service() must be gone.
  ~LinkServer();

  /// To be registered with a server; belongs to this.
  grpc::Service& service();
  /// Links that are there now.
  size_t links() const;
  /// Takes no more links and closes those that are there, asking the edges to dial again after `retry_after`;
  /// returns when all have ended. After `deadline` they are cut. Before the gRPC server's shutdown; not from
  /// a thread of the executor.
  void Stop(absl::Duration deadline, absl::Duration retry_after);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace selvage
