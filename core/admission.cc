#include "core/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/replication/message.h"

namespace selvage {
namespace {

constexpr int kSupersededBootIdsMax = 64;
constexpr int64_t kDayMs = 24 * 3600 * 1000LL;

template <class Ids>
bool Contains(const Ids& ids, const std::string& id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

absl::Status CheckHello(const v1::Hello& hello, const v1::StoredEdge& edge) {
  if (hello.protocol() != replication::kLinkProtocol) {
    return MakeError(absl::StatusCode::kUnimplemented, "unsupported_protocol",
                     fmt::format("the edge speaks link protocol {}, this core {}", hello.protocol(),
                                 replication::kLinkProtocol),
                     "upgrade the older end");
  }
  if (hello.store_id().size() != 16 || hello.boot_id().size() != 16) {
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error",
                     "a hello without store id and boot id");
  }
  if (edge.retired()) {
    return MakeError(
        absl::StatusCode::kPermissionDenied, "edge_retired", fmt::format("edge {} was retired", hello.edge()),
        "give the site a new edge id and certificate; selvage-edge --take-store-of lets the new id "
        "go on with what the store holds");
  }
  if (edge.held()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "edge_held",
        fmt::format("edge {} is held until an operator decides: {}", hello.edge(), edge.held_why()),
        "selvagectl alarm list at the core says why", Retry::kYes);
  }
  return absl::OkStatus();
}

bool SlotTaken(const KnownEdges& edges, uint32_t slot) {
  return edges.FindIf([&](const v1::StoredEdge& edge) {
    return std::any_of(edge.tenures().begin(), edge.tenures().end(),
                       [&](const auto& tenure) { return tenure.slot() == slot; });
  }) != nullptr;
}

void AddTenure(const v1::Hello& hello, const KnownEdges& edges, AdmissionDecision& decision) {
  uint32_t slot = decision.core.next_slot();
  // An edge that remembers a slot this core knows nothing of keeps it: the core was restored or replaced.
  if (hello.has_slot() && !SlotTaken(edges, hello.slot())) slot = hello.slot();
  while (SlotTaken(edges, slot)) ++slot;
  if (Planted(Canary::kReuseSlot) && decision.core.next_slot() > 0) slot = decision.core.next_slot() - 1;
  decision.core.set_next_slot(std::max(decision.core.next_slot(), slot + 1));
  v1::StoredTenure& tenure = *decision.edge.add_tenures();
  tenure.set_slot(slot);
  tenure.set_store_id(hello.store_id());
}

bool Had(const v1::StoredEdge& edge, const std::string& store_id) {
  return std::any_of(edge.tenures().begin(), edge.tenures().end(), [&](const v1::StoredTenure& tenure) {
    return tenure.store_id() == store_id || Contains(tenure.former_store_ids(), store_id);
  });
}

/// Not OK when the store is one that another edge has or had: its records would come again under this edge's
/// name.
absl::Status CheckOwnStore(const v1::Hello& hello, const KnownEdges& edges, v1::StoredEdge& edge) {
  if (Had(edge, hello.store_id()) || edge.allowed_store_id() == hello.store_id()) return absl::OkStatus();
  const v1::StoredEdge* other = edges.FindIf([&](const v1::StoredEdge& known) {
    return known.edge() != hello.edge() && Had(known, hello.store_id());
  });
  if (other == nullptr) return absl::OkStatus();
  edge.set_held_store_id(hello.store_id());
  return MakeError(absl::StatusCode::kAborted, "clone",
                   fmt::format("its store is that of edge {}", other->edge()));
}

/// Which of the stores that the edge had this one is. Not OK: an operator must decide.
absl::Status TakeTenure(const v1::Hello& hello, const KnownEdges& edges, int64_t wall_ms,
                        AdmissionDecision& decision) {
  v1::StoredEdge& edge = decision.edge;
  SELVAGE_RETURN_IF_ERROR(CheckOwnStore(hello, edges, edge));
  if (edge.tenures().empty()) {
    AddTenure(hello, edges, decision);
    return absl::OkStatus();
  }
  v1::StoredTenure& current = *edge.mutable_tenures(edge.tenures_size() - 1);
  if (current.store_id() == hello.store_id()) {
    // Still without its place: the welcome that gave it was lost, or the edge died before it was stored.
    decision.adopts = hello.empty() && !current.former_store_ids().empty();
    return absl::OkStatus();
  }
  for (const v1::StoredTenure& tenure : edge.tenures()) {
    if (tenure.store_id() != hello.store_id() && !Contains(tenure.former_store_ids(), hello.store_id()))
      continue;
    edge.set_held_store_id(hello.store_id());
    return MakeError(absl::StatusCode::kAborted, "clone", "a store that was replaced before is back");
  }
  if (hello.empty()) {
    if (!Planted(Canary::kForgetFormerStores)) current.add_former_store_ids(current.store_id());
    current.set_store_id(hello.store_id());
    decision.adopts = true;
    return absl::OkStatus();
  }
  if (edge.slot_given_ms() > 0 && wall_ms - edge.slot_given_ms() < kDayMs) {
    return MakeError(absl::StatusCode::kAborted, "second_new_store",
                     "a second store with a history of its own within a day");
  }
  AddTenure(hello, edges, decision);
  edge.set_slot_given_ms(wall_ms);
  return absl::OkStatus();
}

void TakeBoot(const v1::Hello& hello, v1::StoredEdge& edge) {
  if (!edge.boot_id().empty() && edge.boot_id() != hello.boot_id()) {
    edge.add_superseded_boot_ids(edge.boot_id());
    auto& ids = *edge.mutable_superseded_boot_ids();
    if (ids.size() > kSupersededBootIdsMax) ids.DeleteSubrange(0, ids.size() - kSupersededBootIdsMax);
  }
  edge.set_boot_id(hello.boot_id());
}

}  // namespace

const v1::StoredEdge* KnownEdges::Find(const std::string& edge) const {
  if (auto it = decided_.find(edge); it != decided_.end()) return &it->second;
  auto it = stored_.find(edge);
  return it == stored_.end() ? nullptr : &it->second;
}

const v1::StoredEdge* KnownEdges::FindIf(const std::function<bool(const v1::StoredEdge&)>& is) const {
  const v1::StoredEdge* found = nullptr;
  for (const Edges* edges : {&stored_, &decided_}) {
    for (const auto& [name, edge] : *edges) {
      const bool replaced = edges == &stored_ && decided_.contains(name);
      if (replaced || !is(edge)) continue;
      if (found == nullptr || name < found->edge()) found = &edge;
      break;
    }
  }
  return found;
}

absl::StatusOr<AdmissionDecision> DecideAdmission(const v1::Hello& hello, const v1::StoredCore& core,
                                                  const KnownEdges& edges, int64_t wall_ms) {
  AdmissionDecision decision;
  decision.core = core;
  if (const v1::StoredEdge* known = edges.Find(hello.edge()); known != nullptr) decision.edge = *known;
  v1::StoredEdge& edge = decision.edge;
  edge.set_edge(hello.edge());
  SELVAGE_RETURN_IF_ERROR(CheckHello(hello, edge));
  if (!hello.cluster_id().empty() && hello.cluster_id() != core.cluster_id() &&
      !Contains(core.other_cluster_ids(), hello.cluster_id())) {
    if (!edges.empty()) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "foreign_cluster",
          fmt::format("edge {} belongs to another cluster", hello.edge()),
          "check the edge's link.addresses; if this core took the place of one that was lost, resolve "
          "the alarm: its edges then belong here",
          Retry::kYes);
    }
    // A core that no edge ever linked with takes the place of one that was lost.
    decision.core.set_cluster_id(hello.cluster_id());
  }
  decision.hold =
      Contains(edge.superseded_boot_ids(), hello.boot_id()) && !Planted(Canary::kAcceptSupersededBoot)
          ? MakeError(absl::StatusCode::kAborted, "clone",
                      "two machines run the same store: a process that was superseded dialled again")
          : TakeTenure(hello, edges, wall_ms, decision);
  if (!decision.hold.ok()) {
    edge.set_held(true);
    edge.set_held_kind(ErrorKind(decision.hold));
    edge.set_held_why(std::string(decision.hold.message()));
    return decision;
  }
  TakeBoot(hello, edge);
  edge.set_session_epoch(std::max(edge.session_epoch(), hello.session_epoch()) + 1);
  return decision;
}

void ReleaseEdge(v1::StoredEdge& edge) {
  edge.set_held(false);
  edge.clear_superseded_boot_ids();
  edge.set_slot_given_ms(0);
  const std::string id = edge.held_store_id();
  edge.clear_held_store_id();
  edge.clear_held_kind();
  edge.clear_held_why();
  if (id.empty()) return;
  if (!Had(edge, id)) return edge.set_allowed_store_id(id);
  auto& tenures = *edge.mutable_tenures();
  for (int i = 0; i < tenures.size(); ++i) {
    v1::StoredTenure tenure = tenures[i];
    if (tenure.store_id() != id && !Contains(tenure.former_store_ids(), id)) continue;
    if (tenure.store_id() != id) tenure.add_former_store_ids(tenure.store_id());
    tenure.set_store_id(id);
    tenures.DeleteSubrange(i, 1);
    *tenures.Add() = tenure;
    return;
  }
}

}  // namespace selvage
