#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "selvage/v1/link.pb.h"
#include "selvage/v1/store.pb.h"

/// Who may link, and as what: decided on what the core has stored, without changing it (DESIGN section 6).
/// Pure.
namespace selvage {

/// The edges that decisions are made on: those that are stored and, in their place, those that were decided
/// on before and are to be stored together with what is decided next.
class KnownEdges {
 public:
  using Edges = std::map<std::string, v1::StoredEdge>;

  /// `stored` must not change while this exists.
  KnownEdges(const Edges& stored) : stored_(stored) {}  // NOLINT: a map of edges is what is known of them

  void Decided(const v1::StoredEdge& edge) { decided_[edge.edge()] = edge; }
  const Edges& decided() const { return decided_; }

  /// Null for one that is not known.
  const v1::StoredEdge* Find(const std::string& edge) const;
  /// The first, by name, of which `is` is true; null when it is of none.
  const v1::StoredEdge* FindIf(const std::function<bool(const v1::StoredEdge&)>& is) const;
  bool empty() const { return stored_.empty() && decided_.empty(); }

 private:
  const Edges& stored_;
  Edges decided_;
};

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
                                                  const KnownEdges& edges, int64_t wall_ms);

/// What an operator's word does to an edge that was held: whoever dials next is the edge. A former store that
/// waits becomes the current one again: its logs go on where their histories agree with what the core holds,
/// and fork where they do not. Another edge's store that waits is let in, with a slot of its own: what it
/// sends may be at the core twice.
void ReleaseEdge(v1::StoredEdge& edge);

}  // namespace selvage
