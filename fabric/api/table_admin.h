#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "selvage/v1/table.pb.h"

namespace selvage::api {

/// Making and dropping tables, which edge and core do differently. May wait for the disk. Safe to use from
/// several threads.
class TableAdmin {
 public:
  virtual ~TableAdmin() = default;
  virtual std::vector<v1::TableDefinition> All() = 0;
  /// Makes a table; what the definition leaves out gets its default. Returns the definition that is kept.
  /// Errors: "table_exists" (kAlreadyExists), those of a definition that cannot be.
  virtual absl::StatusOr<v1::TableDefinition> Create(const v1::TableDefinition& wanted) = 0;
  /// Replaces the settings. Error: "unknown_table" (kNotFound).
  virtual absl::StatusOr<v1::TableDefinition> Set(const std::string& table,
                                                  const v1::TableSettings& settings) = 0;
  /// Error: "unknown_table" (kNotFound).
  virtual absl::Status Drop(const std::string& table) = 0;
};

}  // namespace selvage::api
