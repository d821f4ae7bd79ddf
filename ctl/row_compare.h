#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "selvage/v1/table.pb.h"

namespace selvage::ctl {

/// Asks one copy of a table (Tables.DigestRows).
using RowDigests = std::function<absl::StatusOr<v1::DigestRowsResponse>(const v1::DigestRowsRequest&)>;

struct TableCopies {
  RowDigests core;
  RowDigests edge;
  /// Waits a moment for changes that are under way, of a row that was looked at again so often; false: no
  /// longer.
  std::function<bool(int looks)> pause;
};

/// The first row that is not the same in both copies.
struct RowDifference {
  std::string key;
  std::string core_version;  ///< empty: the row is not there
  std::string edge_version;
  /// It changed while it was looked at again and again: the copies may be equal but for changes under way.
  bool changing = false;
};

struct RowComparison {
  uint64_t rows = 0;  ///< that are the same in both
  std::optional<RowDifference> difference;
};

/// Compares two copies of the rows of a range: digests of large parts first, then of ever smaller parts of
/// the first part that differs. In between rows may change: one that differs is looked at again after each
/// pause, and the comparison goes on when it is the same then.
///
/// `range` has the table, keys and prefix. Both copies are seen as at one time, the core's when it is asked
/// first, so that no clock decides what has expired. Errors: those of the copies; "table_changed" when they
/// are of two tables; "unexpected_answer".
absl::StatusOr<RowComparison> CompareRows(const TableCopies& copies, const v1::DigestRowsRequest& range);

}  // namespace selvage::ctl
