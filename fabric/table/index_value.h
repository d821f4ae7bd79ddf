#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/table/document.h"
#include "fabric/table/field_path.h"

/// Values of fields as bytes whose order is theirs (docs/formats.md, "Tables"): what indexes are keyed by,
/// and what rows are sorted by where there is no index, so that both give one order. No value's bytes begin
/// another's, so a row's key may follow.
///
///   null, or nothing is there  <  false  <  true  <  numbers  <  strings  <  other
///
/// Numbers are ordered exactly, integers and doubles among each other. Of a string the first bytes count.
/// Other is what has no one place: an array, an object, and what a path leads to through an array. All of it
/// is alike here.
namespace selvage::table {

/// Bytes of a string that count.
inline constexpr size_t kIndexedTextMax = 256;

/// What the bytes of a value begin with; ascending.
enum class ValueTag : char {
  kNothing = 1,
  kFalse = 2,
  kTrue = 3,
  kNumber = 4,
  kText = 5,
  kOther = 6,
};

/// Of one canonical value.
std::string IndexValue(std::string_view canonical);
/// Of what the path leads to from a row, which is canonical.
std::string IndexValueAt(std::string_view row_json, const FieldPath& path);
/// The values under which an index on the path has a row: what it is while it is there, and what an expiry
/// will leave of it, where the two differ. Ascending; none of a row that is not there at any time. So they do
/// not depend on the clock: whoever finds the row by one of them sees by the row whether it is the one of
/// now.
std::vector<std::string> IndexValuesOf(const Row& row, const FieldPath& path);

/// How many bytes the value takes at the front of `bytes`; nothing when there is none.
std::optional<size_t> IndexValueSize(std::string_view bytes);

}  // namespace selvage::table
