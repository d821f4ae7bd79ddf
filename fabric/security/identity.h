#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace selvage {

/// What a peer is. One certificate has one role.
enum class Role { kEdge, kCore, kOperator };

/// "edge", "core" or "operator", as in the SPIFFE URI.
std::string_view RoleName(Role role);

/// Who a peer is, as its certificate says it: `spiffe://<trust domain>/<role>/<id>`.
struct Identity {
  std::string trust_domain;  ///< a DNS name (IsDnsName)
  Role role = Role::kEdge;
  std::string id;  ///< a DNS label (IsDnsLabel)

  bool operator==(const Identity&) const = default;
};

/// Reads an identity from the text of one URI. Exact: no upper case, escapes, port, query, empty part or
/// trailing slash. Anything else is the error "unauthenticated". The text may come from a peer; it is quoted
/// safely and briefly.
absl::StatusOr<Identity> ParseSpiffeUri(std::string_view uri);

/// The reverse of ParseSpiffeUri.
std::string SpiffeUri(const Identity& identity);

}  // namespace selvage
