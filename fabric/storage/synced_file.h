#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace selvage {

/// The whole content of a small file; nothing when there is none. Error: kInternal "io_error".
absl::StatusOr<std::optional<std::string>> ReadSyncedFile(const std::filesystem::path& path);

/// Replaces the file; returns after the new one is on stable storage. A crash leaves the old one or the new
/// one. One writer at a time. Errors: kResourceExhausted "disk_full", kInternal "io_error"; the old file is
/// then still in place or the new one complete.
absl::Status ReplaceSyncedFile(const std::filesystem::path& path, std::string_view content);

}  // namespace selvage
