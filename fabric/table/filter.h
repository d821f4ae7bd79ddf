#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace selvage::table {

inline constexpr size_t kFilterBytesMax = 64u << 10;
inline constexpr int kFilterDepthMax = 16;           ///< $and, $or, $nor and $not inside each other
inline constexpr size_t kFilterConditionsMax = 256;  ///< operators on fields
inline constexpr size_t kFilterValuesMax = 10'000;   ///< values that fields are compared with

/// What a filter asks of one field, by its path: part of what must hold of every row that it matches. Where
/// the path leads into an array or to one it holds of any of several values.
struct FieldCondition {
  enum class Kind { kOneOf, kBelow, kAtMost, kAbove, kAtLeast };
  std::string path;
  Kind kind = Kind::kOneOf;
  std::vector<std::string> values = {};  ///< canonical; one, a number or a string, for all but kOneOf
};

/// Which rows a query wants, in the form that users of MongoDB know (docs/tables.md, "Queries"). Copies share
/// what was parsed; safe to use from several threads.
class Filter {
 public:
  /// Error: "invalid_filter" (kInvalidArgument); the message says what is wrong and where, as a JSON Pointer
  /// into the filter.
  static absl::StatusOr<Filter> Parse(std::string_view json);

  /// `row_json`: the canonical JSON of a whole row. Never throws; of other bytes the answer means nothing.
  bool Matches(std::string_view row_json) const;

  /// The conditions that hold of all rows that match; there may be more to the filter than these.
  std::vector<FieldCondition> Conditions() const;

  struct Node;  ///< of the parsed filter

 private:
  explicit Filter(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;
};

}  // namespace selvage::table
