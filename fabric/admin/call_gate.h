#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/clock.h"
#include "fabric/security/authorizer.h"
#include "fabric/telemetry/log_limit.h"
#include "fabric/telemetry/metrics.h"

namespace selvage {

/// What every call passes on its way in and out: who calls and may they; how it ended, counted, logged and
/// turned into what gRPC carries. Safe to use from several threads.
class CallGate {
 public:
  struct Call {
    std::string_view name;
    Action action;
    bool logged = false;  ///< an operator changes something: worth a line, however it ends
  };

  /// The parameters must outlive the gate.
  CallGate(const Authorizer& authorizer, Metrics& metrics, Clock& clock)
      : authorizer_(authorizer), metrics_(metrics), clock_(clock) {}

  /// The caller's identity as a URI. Errors: "unauthenticated", "permission_denied".
  absl::StatusOr<std::string> Admit(const grpc::ServerContextBase& context, const Call& call) const;
  /// What the call finishes with. Once for each call; `caller` is empty for one that was not admitted.
  grpc::Status Conclude(const absl::Status& outcome, const Call& call, const std::string& caller,
                        grpc::ServerContextBase& context) const;

 private:
  const Authorizer& authorizer_;
  Metrics& metrics_;
  Clock& clock_;
  mutable LogLimit refused_log_;
};

/// For a call that finds too many others before it.
absl::Status Overloaded();

}  // namespace selvage
