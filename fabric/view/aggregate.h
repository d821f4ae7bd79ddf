#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/table/canonical_json.h"
#include "fabric/view/distinct_count.h"
#include "fabric/view/exact_sum.h"
#include "fabric/view/json_fields.h"
#include "selvage/v1/view.pb.h"

namespace selvage::view {

/// What became of a value that a column was given.
enum class Fed : uint8_t {
  kFed,         ///< also when a count of a field does not find it
  kNoField,     ///< there is none
  kNotANumber,  ///< of a sum, mean, min or max
  kOutOfRange,  ///< a number that neither an int64_t nor a double holds
  kNotAScalar,  ///< of a distinct: an object or an array
};

/// The stable hash of a text, number or boolean, in which 1 and 1.0 are one and 1 and "1" are two.
uint64_t HashOfValue(const FieldValue& value);

/// What the columns of a view know of one group. It depends only on which values were added, not on their
/// order or on how they were divided among states that are merged: sums are exact until they are shown. Not
/// thread-safe.
class AggregateState {
 public:
  /// Of nothing. The columns are those of a complete definition.
  explicit AggregateState(const v1::ViewAggregate& aggregate);

  Fed Feed(size_t column, const FieldValue& value);
  /// Adds what `other`, of the same columns, knows.
  void Merge(const AggregateState& other);

  /// What readers see: nothing of a sum, mean, min or max without a number. A sum that is not an integer of
  /// 64 bits is the nearest double.
  std::optional<table::CanonicalJson> Visible(size_t column) const;
  size_t columns() const { return columns_.size(); }

  /// The stored form (docs/formats.md, "State of a view's group"); one for each state.
  std::string Encode() const;
  /// Error: "corrupt_view" (kDataLoss) for what Encode does not make, or makes of other columns. Memory is
  /// bounded by a small multiple of the bytes.
  static absl::StatusOr<AggregateState> Decode(const v1::ViewAggregate& aggregate, std::string_view bytes);

 private:
  struct Numbers {
    uint64_t count = 0;
    ExactSum sum;
  };
  using Extreme = std::optional<table::JsonNumber>;
  struct Column {
    v1::ViewFunction function;
    std::variant<uint64_t, Numbers, Extreme, DistinctCount> state;
  };
  friend class StateDecoder;

  static Fed FeedNumber(Column& column, const FieldValue& value);
  static void Extend(v1::ViewFunction function, const table::JsonNumber& number, Extreme& extreme);
  static void AppendState(const Column& column, std::string& out);

  std::vector<Column> columns_;
};

}  // namespace selvage::view
