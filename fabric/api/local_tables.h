#pragma once

#include <string>
#include <vector>

#include "fabric/api/table_admin.h"
#include "fabric/base/random.h"
#include "fabric/table/table_store.h"

namespace selvage::api {

/// Tables of a node by itself: they are made, set and dropped in its own store.
class LocalTables : public TableAdmin {
 public:
  /// Both must outlive it.
  LocalTables(table::TableStore& tables, Random& random) : tables_(tables), random_(random) {}

  std::vector<v1::TableDefinition> All() override { return tables_.All(); }
  /// Also "invalid_table_name" (kInvalidArgument).
  absl::StatusOr<v1::TableDefinition> Create(const v1::TableDefinition& wanted) override;
  absl::StatusOr<v1::TableDefinition> Set(const std::string& table,
                                          const v1::TableSettings& settings) override;
  absl::Status Drop(const std::string& table) override { return tables_.Drop(table); }

 private:
  table::TableStore& tables_;
  Random& random_;
};

}  // namespace selvage::api
