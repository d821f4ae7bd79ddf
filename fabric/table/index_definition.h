#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/table/field_path.h"

namespace selvage::table {

inline constexpr size_t kIndexesMax = 16;        ///< of a table
inline constexpr size_t kPathStepsMax = 16;      ///< of an index, an order or a field that is wanted
inline constexpr size_t kPathBytesMax = 1024;    ///< the same
inline constexpr size_t kIndexNameMax = 64;      ///< bytes
inline constexpr size_t kFieldsWantedMax = 100;  ///< paths of a projection

/// An index of a table, on the path to a field.
struct TableIndex {
  uint32_t number = 0;  ///< within the table; never used again
  std::string name;
  FieldPath path;
};
using TableIndexes = std::vector<TableIndex>;  // by name

/// A path that rows are ordered by or from which fields are wanted: `kind` is that of the error
/// (kInvalidArgument) for one that cannot be, and `what` says what it is.
absl::StatusOr<FieldPath> ParseFieldPath(std::string_view text, std::string_view kind, std::string_view what);

/// Error: "invalid_index" (kInvalidArgument).
absl::Status CheckIndexName(std::string_view name);
/// What an index on the path is named when its maker has no name for it: the path, with _ for what names do
/// not have.
std::string IndexNameOf(std::string_view path);

}  // namespace selvage::table
