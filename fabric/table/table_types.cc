#include "fabric/table/table_types.h"

#include <fmt/format.h>

#include <charconv>

#include "fabric/base/error.h"

namespace selvage::table {

absl::Status CheckRowKey(std::string_view key) {
  if (!key.empty() && key.size() <= kRowKeyMax && IsValidUtf8(key)) return absl::OkStatus();
  const std::string_view why = key.empty()               ? "is empty"
                               : key.size() > kRowKeyMax ? "is too long"
                                                         : "is not valid UTF-8";
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_key", fmt::format("a key {}", why),
                   fmt::format("keys are UTF-8, 1 to {} bytes", kRowKeyMax));
}

absl::Status DamagedRow(std::string_view key) {
  return MakeError(absl::StatusCode::kDataLoss, "corrupt_row",
                   fmt::format("what is stored of row \"{}\" is damaged", key),
                   "look for it at another node, and put it here with --replace-damaged (docs/tables.md, \"A "
                   "damaged row\")");
}

std::string FeedPosition::Text() const {
  const std::string text = fmt::format("{}-{}", epoch.hex(), sequence);
  return began_at == 0 ? text : fmt::format("{}-{}", text, began_at);
}

std::optional<FeedPosition> FeedPosition::Parse(std::string_view text) {
  constexpr size_t kEpochSize = 32;
  if (text.size() <= kEpochSize + 1 || text[kEpochSize] != '-') return std::nullopt;
  const auto epoch = FeedEpoch::FromHex(text.substr(0, kEpochSize));
  FeedPosition position{epoch.value_or(FeedEpoch())};
  const char* end = text.data() + text.size();
  auto read = std::from_chars(text.data() + kEpochSize + 1, end, position.sequence);
  if (!epoch || read.ec != std::errc()) return std::nullopt;
  if (read.ptr != end && *read.ptr == '-') read = std::from_chars(read.ptr + 1, end, position.began_at);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return position;
}

}  // namespace selvage::table
