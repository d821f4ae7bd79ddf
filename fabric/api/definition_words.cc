#include "fabric/api/definition_words.h"

#include <utility>

namespace selvage::api {
namespace {

constexpr std::pair<v1::TableDirection, std::string_view> kDirectionWords[] = {
    {v1::TABLE_UP, "up"}, {v1::TABLE_DOWN, "down"}, {v1::TABLE_BOTH, "both"}, {v1::TABLE_LOCAL, "local"}};

}  // namespace

std::string_view DirectionWord(v1::TableDirection direction) {
  for (const auto& [known, word] : kDirectionWords) {
    if (known == direction) return word;
  }
  return "unknown";
}

std::optional<v1::TableDirection> DirectionOf(std::string_view word) {
  for (const auto& [direction, known] : kDirectionWords) {
    if (known == word) return direction;
  }
  return std::nullopt;
}

}  // namespace selvage::api
