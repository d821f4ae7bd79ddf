#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/table/field_path.h"
#include "fabric/table/filter.h"
#include "fabric/table/query_plan.h"
#include "fabric/table/table_types.h"

/// What a query asks and is answered; TableStore::Query does it.
namespace selvage::table {

struct QueryRequest {
  // As of ScanRequest.
  std::string from = {};
  std::string to = {};
  std::string prefix = {};
  std::optional<Filter> filter = {};   ///< nothing: all rows
  std::vector<FieldPath> fields = {};  ///< what is wanted of each row; empty: all of it
  QueryOrder order = {};
  size_t rows_max = 1000;
  size_t bytes_max = 1u << 20;     ///< of keys and JSON; one row always fits
  size_t looked_at_max = 100'000;  ///< rows or entries of an index that are read where nothing is sorted
  bool count = false;              ///< only how many rows there are: of this page, as far as it looked
  std::string after = {};          ///< QueryPage::next of the page before, with all else as it was
};

struct QueryPage {
  std::vector<RowView> rows;        ///< with RowView::json as far as it is wanted
  uint64_t count = 0;               ///< of the rows, or of what QueryRequest::count asks for
  std::optional<std::string> next;  ///< there may be more: QueryRequest::after of the page that follows
  uint64_t looked_at = 0;
};

/// What an order by the row's key is called; no field can be.
inline constexpr std::string_view kOrderByKey = "$key";
/// An order as requests name it: a path, kOrderByKey, or nothing for any. Error: "invalid_query".
absl::StatusOr<QueryOrder> ParseOrder(std::string_view order, bool descending);
/// Fields as requests name them. Error: "invalid_query".
absl::StatusOr<std::vector<FieldPath>> ParseWantedFields(const std::vector<std::string>& paths);

}  // namespace selvage::table
