#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "fabric/base/names.h"
#include "selvage/v1/view.pb.h"

namespace selvage::view {

/// The path that stands for the record's key.
inline constexpr std::string_view kRecordKey = "$key";
/// The field of a view's rows that says when their window begins.
inline constexpr std::string_view kWindowField = "window";

/// A view is built anew in a table of its own, whose name is that of the view with this behind it.
inline constexpr std::string_view kRebuildSuffix = ".rebuild";
inline constexpr size_t kViewNameMax = kMaxStreamName - kRebuildSuffix.size();
inline constexpr size_t kColumnsMax = 64;
inline constexpr size_t kGroupFieldsMax = 16;
inline constexpr size_t kPathDepthMax = 16;
inline constexpr size_t kPathBytesMax = 1024;
inline constexpr size_t kFieldNameBytesMax = 256;  ///< of a field of the view's rows
inline constexpr int64_t kWindowMsMin = 1000;
inline constexpr int64_t kViewTimeMsMax =
    int64_t{3650} * 24 * 3600 * 1000;  ///< of windows, lateness, keeping

/// As users write it: "count", "sum", "mean", "min", "max", "distinct"; "unknown" for what is none here.
std::string_view FunctionWord(v1::ViewFunction function);
std::optional<v1::ViewFunction> FunctionOfWord(std::string_view word);

/// Fills in the names that a definition leaves open and checks it. Error: "invalid_view" (kInvalidArgument);
/// the message names the place, the hint says what is allowed.
absl::StatusOr<v1::ViewDefinition> CompleteDefinition(v1::ViewDefinition definition);

}  // namespace selvage::view
