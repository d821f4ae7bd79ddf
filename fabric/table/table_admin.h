#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "selvage/v1/table.pb.h"

namespace selvage::table {

/// Makes, changes and drops tables, which a core does in its control documents and an edge in its own store.
/// Safe to use from several threads; calls wait for the disk. Errors are those of the parts behind it.
class TableAdmin {
 public:
  virtual ~TableAdmin() = default;

  /// Takes a definition without an incarnation, and gives it one. Errors: those of CompleteDefinition,
  /// "table_exists" (kAlreadyExists).
  virtual absl::StatusOr<v1::TableDefinition> Create(v1::TableDefinition definition) = 0;
  /// Errors: those of CompleteDefinition, "unknown_table" (kNotFound), "generation_mismatch".
  virtual absl::StatusOr<v1::TableDefinition> Set(const v1::SetTableRequest& request) = 0;
  /// Drops the table with all its rows. Error: "unknown_table".
  virtual absl::Status Drop(const std::string& table) = 0;
};

}  // namespace selvage::table
