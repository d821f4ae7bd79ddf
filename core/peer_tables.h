#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/edge_registry.h"
#include "core/fleet_tables.h"
#include "fabric/link/table_flows.h"
#include "fabric/node/node_identity.h"
#include "fabric/table/table_store.h"

namespace selvage {

/// The core's part in the tables of one edge: what the edge writes is taken as far as it may write it, and
/// what the edge is to have goes down. Of a table that only edges write an edge is given what its own stores
/// wrote, when it lost one: another store took the place of an earlier one, or its store was set back.
class PeerTables : public TableEnd {
 public:
  struct Parts {
    table::TableStore& tables;
    FleetTables& fleet;
    const NodeIdentity& identity;
    const EdgeRegistry& edges;
  };
  /// The parts must outlive it.
  PeerTables(const Parts& parts, std::string edge) : parts_(parts), edge_(std::move(edge)) {}

  /// The edge was admitted with this store.
  void Admitted(const StoreId& store);

  std::map<std::string, Offer> Offers() override;
  uint64_t version() override { return parts_.tables.changes(); }
  absl::StatusOr<table::TableSink::Options> TableFor(const v1::FlowOpen& open) override;

 private:
  /// All that the edge had so far, also the present one.
  std::set<StoreId> StoresOfEdge() const;
  absl::StatusOr<v1::TableDefinition> FindOrMake(const v1::TableDefinition& offered);

  const Parts parts_;
  const std::string edge_;
  absl::Mutex mutex_;
  StoreId store_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage
