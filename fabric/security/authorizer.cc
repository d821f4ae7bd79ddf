#include "fabric/security/authorizer.h"

#include <fmt/format.h>

#include "fabric/base/error.h"
#include "fabric/base/names.h"

namespace selvage {
namespace {

bool Allowed(const Identity& who, Action action, std::string_view edge) {
  switch (action) {
    case Action::kOpenLink:
      return who.role == Role::kEdge && !edge.empty() && who.id == edge;
    case Action::kReadAdmin:
    case Action::kWriteAdmin:
      return who.role == Role::kOperator;
    case Action::kReadMetrics:
      return who.role == Role::kOperator || who.role == Role::kCore;
  }
  return false;
}

// The edge may come from a peer, so it is shown only when it is a name.
std::string ShownEdge(std::string_view edge) {
  return IsDnsLabel(edge) ? std::string(edge) : "(not an edge id)";
}

std::string What(Action action, std::string_view edge) {
  std::string of_edge = edge.empty() ? std::string() : fmt::format(" of edge {}", ShownEdge(edge));
  switch (action) {
    case Action::kOpenLink:
      return fmt::format("open the link of edge {}", ShownEdge(edge));
    case Action::kReadAdmin:
      return "read the administration" + of_edge;
    case Action::kWriteAdmin:
      return "change the administration" + of_edge;
    case Action::kReadMetrics:
      return "read the metrics" + of_edge;
  }
  return "do this";
}

std::string_view Hint(const Identity& who, Action action) {
  switch (action) {
    case Action::kOpenLink:
      return who.role == Role::kEdge
                 ? "the edge's configured id and the id in its certificate must be the same"
                 : "a link needs the certificate of an edge";
    case Action::kReadAdmin:
    case Action::kWriteAdmin:
      return "use a certificate of an operator";
    case Action::kReadMetrics:
      return "use a certificate of an operator or of the core";
  }
  return {};
}

}  // namespace

absl::Status Authorizer::Authorize(const Identity& who, Action action, std::string_view resource_edge) const {
  const std::string trust_domain = trust_domain_();
  if (trust_domain.empty()) {
    return MakeError(absl::StatusCode::kUnauthenticated, "unauthenticated",
                     "this node has no certificate, and so knows no trust domain",
                     "put its certificate in place; its alarms say what is wrong", Retry::kYes);
  }
  if (who.trust_domain != trust_domain) {
    return MakeError(
        absl::StatusCode::kUnauthenticated, "unauthenticated",
        fmt::format("{} is of another trust domain than {}", SpiffeUri(who), trust_domain),
        "use a certificate issued for this trust domain, or correct the configured trust domain");
  }
  if (Allowed(who, action, resource_edge)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                   fmt::format("{} may not {}", SpiffeUri(who), What(action, resource_edge)),
                   Hint(who, action));
}

}  // namespace selvage
