#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/channel_arguments.h>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/security/tls_files.h"
#include "selvage/v1/admin.grpc.pb.h"
#include "selvage/v1/model.grpc.pb.h"
#include "selvage/v1/rollout.grpc.pb.h"
#include "selvage/v1/table.grpc.pb.h"
#include "selvage/v1/view.grpc.pb.h"

namespace selvage::ctl {

/// Where to connect and as whom, as the global options say.
struct ConnectionOptions {
  std::string address = "127.0.0.1:7443";
  std::string identity;       ///< DIR/NAME, short for DIR/NAME.crt, DIR/NAME.key and DIR/ca.crt
  std::string cert, key, ca;  ///< each takes precedence over `identity`
  std::string edge;           ///< which edge is meant, over its link; empty: the node at the address
  absl::Duration timeout = absl::Seconds(10);  ///< of one call
};

/// The files that the options name. Error: "no_identity" when one of the three is not named at all.
absl::StatusOr<TlsFiles> TlsFilesOf(const ConnectionOptions& options);

/// Makes a channel; does not wait for its connection.
using ChannelFactory =
    std::function<absl::StatusOr<std::shared_ptr<grpc::Channel>>(const ConnectionOptions&)>;

/// Mutual TLS to a core or an edge of the trust domain of our own certificate. The errors of CheckTlsFiles,
/// and "bad_value" for an address that is none.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenTlsChannel(const ConnectionOptions& options);

/// Settings of our channels: message sizes for whole batches, quick reconnection, no proxy to this machine
/// itself.
grpc::ChannelArguments ChannelSettings(const std::string& address);

/// Calls to one node's services. Safe to use from several threads.
class Client {
 public:
  using Stub = v1::Admin::StubInterface;
  using Tables = v1::Tables::StubInterface;
  using Views = v1::Views::StubInterface;
  using Models = v1::Models::StubInterface;
  using Rollouts = v1::Rollouts::StubInterface;
  template <class Service, class Request, class Response>
  using Method = grpc::Status (Service::*)(grpc::ClientContext*, const Request&, Response*);

  Client(std::shared_ptr<grpc::Channel> channel, ConnectionOptions options)
      : channel_(std::move(channel)),
        stub_(v1::Admin::NewStub(channel_)),
        tables_(v1::Tables::NewStub(channel_)),
        views_(v1::Views::NewStub(channel_)),
        models_(v1::Models::NewStub(channel_)),
        rollouts_(v1::Rollouts::NewStub(channel_)),
        options_(std::move(options)) {}

  /// One call, with the configured timeout and `longer` on top of it; its errors explained as by Explain.
  /// After a connection that failed it first waits for the next one, two seconds at most.
  template <class Service, class Request, class Response>
  absl::StatusOr<Response> Call(Method<Service, Request, Response> method, const Request& request,
                                absl::Duration longer = absl::ZeroDuration()) const {
    AwaitReconnection();
    grpc::ClientContext context;
    Prepare(context, longer);
    Response response;
    grpc::Status status;
    if constexpr (std::is_same_v<Service, Tables>) {
      status = ((*tables_).*method)(&context, request, &response);
    } else if constexpr (std::is_same_v<Service, Views>) {
      status = ((*views_).*method)(&context, request, &response);
    } else if constexpr (std::is_same_v<Service, Models>) {
      status = ((*models_).*method)(&context, request, &response);
    } else if constexpr (std::is_same_v<Service, Rollouts>) {
      status = ((*rollouts_).*method)(&context, request, &response);
    } else {
      status = ((*stub_).*method)(&context, request, &response);
    }
    if (!status.ok()) return Explain(status, context);
    return response;
  }

  /// Sets the deadline of a call made with `stub`, and which edge is meant.
  void Prepare(grpc::ClientContext& context, absl::Duration longer = absl::ZeroDuration()) const;

  /// The error of a finished call for an operator: what the node said; else "unreachable" or "timeout" with
  /// the address and the likely cause, or "not_offered".
  absl::Status Explain(const grpc::Status& status, const grpc::ClientContext& context) const;

  Stub& stub() const { return *stub_; }
  grpc::Channel& channel() const { return *channel_; }
  const ConnectionOptions& options() const { return options_; }

 private:
  void AwaitReconnection() const;

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<Views> views_;
  std::unique_ptr<Models> models_;
  std::unique_ptr<Rollouts> rollouts_;
  ConnectionOptions options_;
};

}  // namespace selvage::ctl
