#pragma once

#include <fmt/format.h>

#include <utility>

#include "absl/status/status.h"

namespace selvage::test {

/// What a check answers when it found something that must not be.
template <class... Args>
absl::Status Wrong(fmt::format_string<Args...> format, Args&&... args) {
  return absl::DataLossError(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace selvage::test
