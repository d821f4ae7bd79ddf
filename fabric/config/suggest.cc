#include "fabric/config/suggest.h"

#include <algorithm>

namespace selvage::internal {
namespace {

/// Optimal string alignment distance.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({replaced, cost[i - 1][j] + 1, cost[i][j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> ClosestWord(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr size_t kWordMax = 64;  // longer is no misspelling of ours, and the cost is quadratic
  if (word.size() > kWordMax) return std::nullopt;
  std::optional<std::string> closest;
  size_t closest_distance = 0;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    const size_t tolerated = std::max<size_t>(1, std::max(word.size(), candidate.size()) / 3);
    if (distance > tolerated || (closest && distance >= closest_distance)) continue;
    closest = candidate;
    closest_distance = distance;
  }
  return closest;
}

}  // namespace selvage::internal
