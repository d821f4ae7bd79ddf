#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fabric/table/field_path.h"
#include "fabric/table/filter.h"
#include "fabric/table/index_definition.h"

/// How a query is answered: what is read, and in which order. It reads either rows by their keys or one
/// index, and tries the filter on each row that it finds, so what is chosen here decides what a query costs
/// and never what it answers. An example, with an index on "site" and one on "bar":
///
///   {"site":"NO"}                    index on site: ["NO", "NO"], and what is "other"
///   {"site":"NO","bar":{"$gt":7}}    the same; an equality comes before a range
///   {"bar":{"$gt":7,"$lte":9}}       index on bar: (7, 9], and what is "other"
///   {"unit":"bar"}, by bar           all of the index on bar, in its order
///   {"unit":"bar"}, by unit          rows by their keys, and sorted
namespace selvage::table {

/// Part of a family of keys: from `from` on and before `to`. Of an index without what all its keys begin
/// with.
struct KeyRange {
  std::string from;
  std::string to;  ///< of rows empty: to the last
  bool operator==(const KeyRange&) const = default;
};

struct QueryOrder {
  enum class By {
    kAny,   ///< as it is read
    kKey,   ///< of the row
    kPath,  ///< by the value of a field (index_value.h), then by key
  };
  By by = By::kAny;
  std::optional<FieldPath> path = {};  ///< of kPath
  bool descending = false;
};

struct QueryPlan {
  std::optional<TableIndex> index;  ///< nothing: rows are read by their keys
  /// What is read of the index, ascending and apart from each other, or the one range of rows. Read from the
  /// last to the first when the order is descending.
  std::vector<KeyRange> ranges;
  /// All that is read is sorted: the index, if any, does not have the order that is asked for.
  bool sorts = false;
};

/// `conditions`: of the query's filter. `keys`: of the rows that are asked for. `indexes`: that have all
/// rows.
///
/// An order by a path that has an index is that of the index, narrowed by the conditions on that path; it may
/// go on for as long as it takes, where a sort is bounded. Else the filter chooses: an index on a path that
/// must be equal to a value before one where it is one of several, that before a range, and of those alike
/// the first by name. A range is used only when all rows are asked for, since within it rows do not stand by
/// their keys. Rows that are asked for by key are read so.
QueryPlan PlanQuery(const std::vector<FieldCondition>& conditions, const QueryOrder& order,
                    const KeyRange& keys, const TableIndexes& indexes);

}  // namespace selvage::table
