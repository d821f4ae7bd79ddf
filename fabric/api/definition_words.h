#pragma once

#include <optional>
#include <string_view>

#include "selvage/v1/table.pb.h"

namespace selvage::api {

/// A direction as requests and answers name it; "unknown" for one of a later version.
std::string_view DirectionWord(v1::TableDirection direction);
/// Nothing for another word.
std::optional<v1::TableDirection> DirectionOf(std::string_view word);

}  // namespace selvage::api
