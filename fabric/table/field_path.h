#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace selvage::table {

/// One name on the way to a field.
struct PathStep {
  std::string name;                  ///< as it is
  std::string canonical = {};        ///< as a canonical string, with its quotes
  std::optional<size_t> index = {};  ///< of an array's element, when the name is a number
};

/// The way to a field of a row, with dots between the names: "site.country". A name with a dot in it cannot
/// be said.
struct FieldPath {
  std::string text;
  std::vector<PathStep> steps = {};  ///< at least one

  /// Any text is a path.
  static FieldPath Parse(std::string_view text);
};

}  // namespace selvage::table
