#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace selvage::internal {

/// The candidate that `word` was probably meant to be: the one reached with the fewest insertions, deletions,
/// replacements and swaps of neighbours, if these are few for its length. Ties go to the first.
std::optional<std::string> ClosestWord(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace selvage::internal
