#include "fabric/security/identity.h"

#include <fmt/format.h>

#include <optional>

#include "absl/strings/escaping.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"

namespace selvage {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kQuotedAtMost = 120;

std::string Quoted(std::string_view text) {
  std::string escaped = absl::CHexEscape(std::string(text.substr(0, kQuotedAtMost)));
  return fmt::format("'{}{}'", escaped, text.size() > kQuotedAtMost ? "..." : "");
}

absl::Status Malformed(std::string_view uri, std::string_view why) {
  return MakeError(
      absl::StatusCode::kUnauthenticated, "unauthenticated",
      fmt::format("{} is not an identity: {}", Quoted(uri), why),
      "an identity is spiffe://<trust domain>/<edge, core or operator>/<id>, with an id of 1 to 63 "
      "characters from a-z, 0-9 and '-'");
}

std::optional<Role> RoleOf(std::string_view name) {
  for (Role role : {Role::kEdge, Role::kCore, Role::kOperator}) {
    if (name == RoleName(role)) return role;
  }
  return std::nullopt;
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kEdge:
      return "edge";
    case Role::kCore:
      return "core";
    case Role::kOperator:
      return "operator";
  }
  return "unknown";
}

absl::StatusOr<Identity> ParseSpiffeUri(std::string_view uri) {
  if (!uri.starts_with(kScheme)) return Malformed(uri, "it does not start with spiffe://");
  std::string_view rest = uri.substr(kScheme.size());
  size_t domain_end = rest.find('/');
  std::string_view domain = rest.substr(0, domain_end);
  if (!IsDnsName(domain)) return Malformed(uri, "the trust domain is not a DNS name in lower case");
  if (domain_end == std::string_view::npos) return Malformed(uri, "it has no path");

  std::string_view path = rest.substr(domain_end + 1);
  size_t role_end = path.find('/');
  std::optional<Role> role = RoleOf(path.substr(0, role_end));
  if (!role) return Malformed(uri, "the first part of the path is not edge, core or operator");
  if (role_end == std::string_view::npos) return Malformed(uri, "it has no id");
  std::string_view id = path.substr(role_end + 1);
  if (!IsDnsLabel(id)) return Malformed(uri, "the id is not a DNS label in lower case");
  return Identity{.trust_domain = std::string(domain), .role = *role, .id = std::string(id)};
}

std::string SpiffeUri(const Identity& identity) {
  return fmt::format("{}{}/{}/{}", kScheme, identity.trust_domain, RoleName(identity.role), identity.id);
}

}  // namespace selvage
