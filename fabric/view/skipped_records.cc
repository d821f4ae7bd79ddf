#include "fabric/view/skipped_records.h"

#include "fabric/base/check.h"

namespace selvage::view {
namespace {

/// By the numbers of the reasons.
constexpr std::array<std::string_view, kSkipReasons> kSkipWords = {
    "not_json",      "not_an_object", "no_key",       "bad_key",      "key_too_long",
    "row_too_large", "no_field",      "not_a_number", "out_of_range", "not_a_scalar",
    "bad_timestamp", "late",          "window_gone",  "unreadable"};

}  // namespace

std::string_view SkipWord(SkipReason reason) {
  const auto number = static_cast<size_t>(reason);
  SELVAGE_CHECK(number < kSkipReasons);
  return kSkipWords[number];
}

}  // namespace selvage::view
