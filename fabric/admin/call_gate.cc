#include "fabric/admin/call_gate.h"

#include <fmt/format.h>

#include "fabric/admin/call_metadata.h"
#include "fabric/admin/error_metadata.h"
#include "fabric/base/error.h"
#include "fabric/security/credentials.h"
#include "fabric/telemetry/log.h"

namespace selvage {

namespace {

std::string MetadataOf(const grpc::ServerContextBase& context, const char* key) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(key);
  return found == metadata.end() ? std::string() : std::string(found->second.data(), found->second.size());
}

}  // namespace

std::string EdgeAskedFor(const grpc::ServerContextBase& context) {
  return MetadataOf(context, kEdgeMetadata);
}

absl::StatusOr<Identity> CallGate::CallerOf(const grpc::ServerContextBase& context, const Call& call) const {
  if (MetadataOf(context, kSecretMetadata) != local_secret_) {
    return PeerIdentity(*context.auth_context(), clock_.Wall());
  }
  const bool allowed =
      over_link_ == OverLink::kWrite || (over_link_ == OverLink::kRead && call.action == Action::kReadAdmin);
  if (!allowed) {
    return MakeError(absl::StatusCode::kPermissionDenied, "not_over_link",
                     fmt::format("this edge does not do {} for who calls over its link", call.name),
                     "call the edge at its own address, or allow it in its configuration: link.calls");
  }
  return ParseSpiffeUri(MetadataOf(context, kCallerMetadata));
}

absl::StatusOr<std::string> CallGate::Admit(const grpc::ServerContextBase& context, const Call& call) const {
  SELVAGE_ASSIGN_OR_RETURN(const Identity identity, CallerOf(context, call));
  SELVAGE_RETURN_IF_ERROR(authorizer_.Authorize(identity, call.action));
  return SpiffeUri(identity);
}

grpc::Status CallGate::Conclude(const absl::Status& outcome, const Call& call, const std::string& caller,
                                grpc::ServerContextBase& context) const {
  if (outcome.ok()) {
    if (call.logged) LogInfo("an operator's change", {{"call", call.name}, {"operator", caller}});
    return grpc::Status::OK;
  }
  metrics_.CountError(outcome);
  if (caller.empty()) {
    if (const auto line = refused_log_.Admit(clock_.Monotonic())) {
      line->Write(LogLevel::kWarning, "a call is refused",
                  {{"call", call.name}, {"peer", context.peer()}, {"error", outcome}});
    }
  } else if (call.logged) {
    LogWarning("a call failed",
               {{"call", call.name}, {"operator", caller}, {"kind", ErrorKind(outcome)}, {"error", outcome}});
  } else {
    LogDebug("a call failed",
             {{"call", call.name}, {"operator", caller}, {"kind", ErrorKind(outcome)}, {"error", outcome}});
  }
  return ToGrpc(outcome, context);
}

absl::Status Overloaded() {
  return MakeError(absl::StatusCode::kResourceExhausted, "overloaded", "too many calls wait at this node",
                   "slow down, or use fewer connections", Retry::kYes);
}

}  // namespace selvage
