#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/core_document.h"
#include "core/edge_specs.h"
#include "fabric/base/random.h"
#include "fabric/table/table_admin.h"
#include "fabric/table/table_store.h"

namespace selvage {

/// The definitions of the fleet's tables: makes, changes and drops them, with their rows at the core, and
/// lets the edges know. Durable first, then visible. Safe to use from several threads.
class FleetTables : public table::TableAdmin {
 public:
  /// All of them must outlive it.
  FleetTables(table::TableStore& tables, CoreDocument& core, EdgeSpecs& specs, Random& random)
      : tables_(tables), core_(core), specs_(specs), random_(random) {}

  absl::StatusOr<v1::TableDefinition> Create(v1::TableDefinition definition) override;
  /// A table that an edge made on its own; it keeps its incarnation.
  absl::StatusOr<v1::TableDefinition> CreateOffered(v1::TableDefinition definition);
  absl::StatusOr<v1::TableDefinition> Set(const v1::SetTableRequest& request) override;
  absl::Status Drop(const std::string& table) override;

 private:
  absl::StatusOr<v1::TableDefinition> CreateAs(v1::TableDefinition definition);
  table::TableStore& tables_;
  CoreDocument& core_;
  EdgeSpecs& specs_;
  Random& random_;
};

}  // namespace selvage
