#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/base/ids.h"

namespace selvage::view {

/// Why a view does without a record, or one of its columns without the record's value. The numbers are
/// stored: they stay as they are.
enum class SkipReason : uint8_t {
  kNotJson = 0,
  kNotAnObject = 1,    ///< other JSON
  kNoKey = 2,          ///< the record has no key, and the view wants it
  kBadKey = 3,         ///< the record's key is no UTF-8, or empty where it would be the row's key
  kKeyTooLong = 4,     ///< the row's key would be
  kRowTooLarge = 5,    ///< of a view of newest records
  kNoField = 6,        ///< a wanted field is absent or null
  kNotANumber = 7,     ///< in a column that wants one
  kOutOfRange = 8,     ///< a number that neither an int64_t nor a double holds
  kNotAScalar = 9,     ///< an object or an array, to group by or to count different ones of
  kBadTimestamp = 10,  ///< none, beyond the years 0000 to 9999, or later than the caller allows
  kLate = 11,          ///< for its window
  kWindowGone = 12,    ///< its window was kept for its time
  kUnreadable = 13,    ///< what is left of a batch that its producer made wrongly; each batch counts once
};
inline constexpr size_t kSkipReasons = 14;
/// In snake_case, as in "not_json": a label for metrics, and what lists show.
std::string_view SkipWord(SkipReason reason);

struct SkippedRecord {
  SkipReason reason = SkipReason::kNotJson;
  Offset offset;
  int64_t timestamp_ms = 0;
  std::string what;  ///< a field, or what is wrong; may be empty; at most kSkippedWhatMax bytes of UTF-8
};
inline constexpr size_t kSkippedWhatMax = 200;

/// What one piece did without. Of no_field, not_a_number, out_of_range and not_a_scalar each value that a
/// column does without counts: the record's other columns are fed.
struct SkippedRecords {
  /// Of each reason so many are listed, the first ones.
  static constexpr size_t kListedMax = 10;

  std::array<uint64_t, kSkipReasons> counts{};
  std::vector<SkippedRecord> listed;  ///< in the order in which they came

  uint64_t count(SkipReason reason) const { return counts[static_cast<size_t>(reason)]; }
};

}  // namespace selvage::view
