#include "fabric/table/table_types.h"

#include <fmt/format.h>

#include <charconv>

namespace selvage::table {

std::string FeedPosition::Text() const {
  return fmt::format("{}-{}", epoch.hex(), sequence);
}

std::optional<FeedPosition> FeedPosition::Parse(std::string_view text) {
  constexpr size_t kEpochSize = 32;
  if (text.size() <= kEpochSize + 1 || text[kEpochSize] != '-') return std::nullopt;
  const auto epoch = FeedEpoch::FromHex(text.substr(0, kEpochSize));
  FeedPosition position{epoch.value_or(FeedEpoch())};
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + kEpochSize + 1, end, position.sequence);
  if (!epoch || read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return position;
}

}  // namespace selvage::table
