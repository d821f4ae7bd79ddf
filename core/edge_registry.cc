#include "core/edge_registry.h"

#include <fmt/format.h>

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"

namespace selvage {

std::optional<Slot> CurrentSlot(const v1::StoredEdge& edge) {
  if (edge.tenures().empty()) return std::nullopt;
  return Slot(edge.tenures(edge.tenures_size() - 1).slot());
}

absl::Status EdgeRegistry::Open() {
  absl::MutexLock lock(&mutex_);
  auto cursor = store_.Scan(Family::kMeta, kEdgePrefix, PrefixEnd(kEdgePrefix));
  for (cursor->Seek(kEdgePrefix); cursor->Valid(); cursor->Next()) {
    v1::StoredEdge edge;
    if (!edge.ParseFromString(std::string(cursor->value()))) return DamagedMeta("document of an edge");
    Take(edge);
  }
  return cursor->status();
}

std::optional<v1::StoredEdge> EdgeRegistry::Find(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  const auto known = edges_.find(edge);
  if (known == edges_.end()) return std::nullopt;
  return known->second;
}

absl::StatusOr<v1::StoredEdge> EdgeRegistry::Get(const std::string& edge) const {
  if (auto known = Find(edge)) return *std::move(known);
  return MakeError(absl::StatusCode::kNotFound, "unknown_edge",
                   fmt::format("no edge {} was ever linked", edge), "selvagectl edge list shows the edges");
}

std::vector<v1::StoredEdge> EdgeRegistry::All() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::StoredEdge> all;
  all.reserve(edges_.size());
  for (const auto& [name, edge] : edges_) all.push_back(edge);
  return all;
}

std::optional<Slot> EdgeRegistry::SlotOf(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  const auto known = edges_.find(edge);
  return known == edges_.end() ? std::nullopt : CurrentSlot(known->second);
}

std::optional<std::string> EdgeRegistry::EdgeOf(Slot slot) const {
  absl::MutexLock lock(&mutex_);
  const auto known = slot_edges_.find(slot);
  if (known == slot_edges_.end()) return std::nullopt;
  return known->second;
}

/// Without the mutex: the map changes with Show alone, which needs the change that is held here.
KnownEdges EdgeRegistry::Known(const CoreDocument::Change&) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  return {edges_};
}

void EdgeRegistry::Stage(WriteBatch& batch, const v1::StoredEdge& edge) {
  batch.Put(Family::kMeta, std::string(kEdgePrefix) + edge.edge(), {edge.SerializeAsString()});
}

void EdgeRegistry::Show(const CoreDocument::Change&, const v1::StoredEdge& edge) {
  absl::MutexLock lock(&mutex_);
  Take(edge);
}

absl::Status EdgeRegistry::Store(const CoreDocument::Change& change, const v1::StoredEdge& edge) {
  SELVAGE_RETURN_IF_ERROR(Commit(committer_, [&](WriteBatch& batch) {
    Stage(batch, edge);
    return absl::OkStatus();
  }));
  Show(change, edge);
  return absl::OkStatus();
}

void EdgeRegistry::Take(const v1::StoredEdge& edge) {
  edges_[edge.edge()] = edge;
  for (const v1::StoredTenure& tenure : edge.tenures()) slot_edges_[Slot(tenure.slot())] = edge.edge();
  ++changes_;
}

}  // namespace selvage
