#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "fabric/security/identity.h"

namespace selvage {

/// What a peer may ask of a daemon.
enum class Action {
  kOpenLink,     ///< replicate as one edge: only that edge itself
  kReadAdmin,    ///< look at streams, edges, status: operators
  kWriteAdmin,   ///< change what an edge or the fleet should be, produce as an operator: operators
  kReadMetrics,  ///< scrape metrics: operators and the core
};

/// Decides what an authenticated identity may do. Denies whatever it does not allow by name. Immutable, and
/// so safe to use from several threads.
class Authorizer {
 public:
  /// `trust_domain`: the only one whose identities count.
  explicit Authorizer(std::string trust_domain) : trust_domain_(std::move(trust_domain)) {}

  /// OK, or "unauthenticated" for an identity of another trust domain, or "permission_denied".
  /// `resource_edge` is the edge whose link is opened; it is only named in the error for other actions, and
  /// may be empty there.
  absl::Status Authorize(const Identity& who, Action action, std::string_view resource_edge = {}) const;

  const std::string& trust_domain() const { return trust_domain_; }

 private:
  std::string trust_domain_;
};

}  // namespace selvage
