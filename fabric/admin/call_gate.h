#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/clock.h"
#include "fabric/security/authorizer.h"
#include "fabric/telemetry/log_limit.h"
#include "fabric/telemetry/metrics.h"

namespace selvage {

/// The edge that a call is meant for; empty: this node.
std::string EdgeAskedFor(const grpc::ServerContextBase& context);

/// What every call passes on its way in and out: who calls and may they; how it ended, counted, logged and
/// turned into what gRPC carries. Safe to use from several threads.
class CallGate {
 public:
  struct Call {
    std::string_view name;  ///< of a method of Admin; of Tables with that before it: "Tables/GetRow"
    Action action;
    bool logged = false;  ///< an operator changes something: worth a line, however it ends
  };

  /// The parameters must outlive the gate.
  /// `local_secret`: calls that carry it are LocalCalls' own.
  CallGate(const Authorizer& authorizer, Metrics& metrics, Clock& clock, OverLink over_link,
           std::string local_secret)
      : authorizer_(authorizer),
        metrics_(metrics),
        clock_(clock),
        over_link_(over_link),
        local_secret_(std::move(local_secret)) {}

  /// The caller's identity as a URI. Errors: "unauthenticated", "permission_denied"; "not_over_link" for what
  /// this node does for nobody who calls over its link.
  absl::StatusOr<std::string> Admit(const grpc::ServerContextBase& context, const Call& call) const;
  /// What the call finishes with. Once for each call; `caller` is empty for one that was not admitted.
  grpc::Status Conclude(const absl::Status& outcome, const Call& call, const std::string& caller,
                        grpc::ServerContextBase& context) const;

 private:
  absl::StatusOr<Identity> CallerOf(const grpc::ServerContextBase& context, const Call& call) const;

  const Authorizer& authorizer_;
  Metrics& metrics_;
  Clock& clock_;
  const OverLink over_link_;
  const std::string local_secret_;
  mutable LogLimit refused_log_;
};

/// For a call that finds too many others before it.
absl::Status Overloaded();

}  // namespace selvage
