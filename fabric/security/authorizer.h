#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

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

/// What operators may do whose calls come over the link. The other end of the link vouches for them.
enum class OverLink { kNothing, kRead, kWrite };

/// Decides what an authenticated identity may do. Denies whatever it does not allow by name. Safe to use from
/// several threads.
class Authorizer {
 public:
  /// `trust_domain`: the only one whose identities count.
  explicit Authorizer(std::string trust_domain)
      : trust_domain_([domain = std::move(trust_domain)] { return domain; }) {}
  /// For a node that may learn its trust domain later: asked each time, from any thread; empty: not known,
  /// and nobody is let in.
  explicit Authorizer(std::function<std::string()> trust_domain) : trust_domain_(std::move(trust_domain)) {}

  /// OK, or "unauthenticated" for an identity of another trust domain, or "permission_denied".
  /// `resource_edge` is the edge whose link is opened; it is only named in the error for other actions, and
  /// may be empty there.
  absl::Status Authorize(const Identity& who, Action action, std::string_view resource_edge = {}) const;

 private:
  std::function<std::string()> trust_domain_;
};

}  // namespace selvage
