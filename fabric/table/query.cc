#include "fabric/table/query.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"
#include "fabric/table/index_definition.h"

namespace selvage::table {
namespace {

constexpr std::string_view kInvalidQuery = "invalid_query";

}  // namespace

absl::StatusOr<QueryOrder> ParseOrder(std::string_view order, bool descending) {
  if (order.empty()) {
    if (!descending) return QueryOrder{};
    return MakeError(absl::StatusCode::kInvalidArgument, kInvalidQuery, "what descends is not said",
                     fmt::format("order by a path, or by {}", kOrderByKey));
  }
  if (order == kOrderByKey) return QueryOrder{.by = QueryOrder::By::kKey, .descending = descending};
  SELVAGE_ASSIGN_OR_RETURN(FieldPath path, ParseFieldPath(order, kInvalidQuery, "an order"));
  return QueryOrder{.by = QueryOrder::By::kPath, .path = std::move(path), .descending = descending};
}

absl::StatusOr<std::vector<FieldPath>> ParseWantedFields(const std::vector<std::string>& paths) {
  if (paths.size() > kFieldsWantedMax) {
    return MakeError(absl::StatusCode::kInvalidArgument, kInvalidQuery,
                     fmt::format("{} fields are wanted, more than {}", paths.size(), kFieldsWantedMax));
  }
  std::vector<FieldPath> fields;
  fields.reserve(paths.size());
  for (const std::string& text : paths) {
    SELVAGE_ASSIGN_OR_RETURN(FieldPath path, ParseFieldPath(text, kInvalidQuery, "a field"));
    fields.push_back(std::move(path));
  }
  return fields;
}

}  // namespace selvage::table
