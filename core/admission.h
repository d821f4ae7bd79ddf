#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "selvage/v1/link.pb.h"
#include "selvage/v1/store.pb.h"

/// Who may link, and as what: decided on what the core has stored, without changing it (DESIGN section 6).
/// Pure.
namespace selvage {

struct AdmissionDecision {
  v1::StoredEdge edge;  ///< as it is to be stored
  v1::StoredCore core;  ///< the same
  bool adopts = false;  ///< an empty store takes the edge's place
  /// Not OK: the edge is to be held until an operator resolves an alarm of this kind, `edge` says what is to
  /// be remembered meanwhile. Kinds: "clone" (also for a store that another edge has, or had),
  /// "second_new_store".
  absl::Status hold;
};

/// Errors, which change nothing: "unsupported_protocol", "protocol_error", "edge_retired", "edge_held",
/// "foreign_cluster" (an operator may take the cluster over).
absl::StatusOr<AdmissionDecision> DecideAdmission(const v1::Hello& hello, const v1::StoredCore& core,
                                                  const std::map<std::string, v1::StoredEdge>& edges,
                                                  int64_t wall_ms);

/// What an operator's word does to an edge that was held: whoever dials next is the edge. A former store that
/// waits becomes the current one again: its logs go on where their histories agree with what the core holds,
/// and fork where they do not. Another edge's store that waits is let in, with a slot of its own: what it
/// sends may be at the core twice.
void ReleaseEdge(v1::StoredEdge& edge);

}  // namespace selvage
