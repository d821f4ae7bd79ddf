#include "core/peer_tables.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"
#include "fabric/table/table_definition.h"

namespace selvage {

void PeerTables::Admitted(const StoreId& store) {
  absl::MutexLock lock(&mutex_);
  store_ = store;
}

std::map<std::string, TableEnd::Offer> PeerTables::Offers() {
  std::map<std::string, Offer> offers;
  const std::set<StoreId> stores = StoresOfEdge();
  StoreId store;
  {
    absl::MutexLock lock(&mutex_);
    store = store_;
  }
  for (v1::TableDefinition& definition : parts_.tables.All()) {
    const v1::TableDirection direction = definition.direction();
    if (direction == v1::TABLE_LOCAL || (direction == v1::TABLE_UP && stores.empty())) continue;
    Offer& offer = offers[definition.name()];
    offer.after_peer = direction != v1::TABLE_DOWN;
    if (direction == v1::TABLE_UP) {
      offer.source.written_by = stores;
      offer.if_set_back = stores.size() == 1;
    }
    offer.source.table = definition.name();
    offer.source.store_id = parts_.identity.store_id();
    offer.source.prefix = table::PrefixOfEdge(definition.settings(), edge_);
    offer.source.snapshots = true;
    offer.source.reader = edge_;
    offer.source.peer = store;
    offer.source.definition = std::move(definition);
  }
  return offers;
}

std::set<StoreId> PeerTables::StoresOfEdge() const {
  std::set<StoreId> stores;
  const auto edge = parts_.edges.Find(edge_);
  if (!edge) return stores;
  const auto add = [&](const std::string& id) {
    if (const auto store = StoreId::FromBytes(id)) stores.insert(*store);
  };
  for (const v1::StoredTenure& tenure : edge->tenures()) {
    add(tenure.store_id());
    for (const std::string& former : tenure.former_store_ids()) add(former);
  }
  return stores;
}

absl::StatusOr<v1::TableDefinition> PeerTables::FindOrMake(const v1::TableDefinition& offered) {
  if (auto have = parts_.tables.Find(offered.name())) return *std::move(have);
  if (offered.generation() > 0) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_table",
                     fmt::format("there is no table {} at the core any more", offered.name().substr(0, 200)),
                     "the spec drops it at the edge", Retry::kYes);
  }
  auto made = parts_.fleet.CreateOffered(offered);
  if (made.ok() || ErrorKind(made.status()) != "table_exists") return made;
  // Another edge was faster.
  if (auto have = parts_.tables.Find(offered.name())) return *std::move(have);
  return made;
}

absl::StatusOr<table::TableSink::Options> PeerTables::TableFor(const v1::FlowOpen& open) {
  const v1::TableDefinition& offered = open.table().definition();
  StoreId store;
  {
    absl::MutexLock lock(&mutex_);
    store = store_;
  }
  if (open.table().store_id() != store.bytes()) {
    return MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                     fmt::format("edge {} offers a table of another store", edge_));
  }
  SELVAGE_ASSIGN_OR_RETURN(const v1::TableDefinition have, FindOrMake(offered));
  const bool goes_up = have.direction() == v1::TABLE_UP || have.direction() == v1::TABLE_BOTH;
  if (!goes_up || have.direction() != offered.direction()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "table_mismatch",
                     fmt::format("table {} has another direction at edge {} than here", have.name(), edge_),
                     "drop it at one of the two ends");
  }
  if (have.incarnation() != offered.incarnation()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "table_changed",
                     fmt::format("edge {} has table {} from before it was made here", edge_, have.name()),
                     "the spec lets the edge adopt it", Retry::kYes);
  }
  return table::TableSink::Options{.table = have.name(),
                                   .incarnation = *table::Incarnation::FromBytes(have.incarnation()),
                                   .store_id = parts_.identity.store_id(),
                                   .peer = store,
                                   .allowed = table::PrefixOfEdge(have.settings(), edge_)};
}

}  // namespace selvage
