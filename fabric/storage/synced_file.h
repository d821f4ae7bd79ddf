#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace selvage {

/// The whole content of a small file; nothing when there is none. Error: kInternal "io_error".
absl::StatusOr<std::optional<std::string>> ReadSyncedFile(const std::filesystem::path& path);

/// Replaces the file; returns after the new one is on stable storage. A crash leaves the old one or the new
/// one. One writer at a time. Errors: kResourceExhausted "disk_full", kInternal "io_error"; the old file is
/// then still in place or the new one complete.
absl::Status ReplaceSyncedFile(const std::filesystem::path& path, std::string_view content);

/// The error of a file or folder that cannot be used: "disk_full" or "io_error". `what` is a verb, as in
/// "open".
absl::Status FileError(std::string_view what, const std::filesystem::path& path, std::error_code error);

// Parts of that, for whoever syncs many files at once. Errors as above.

/// Creates the file, or writes it anew. Not synced.
absl::Status WriteFile(const std::filesystem::path& path, std::string_view content);
/// Adds to the end of a file, which is created if there is none. Not synced.
absl::Status AppendToFile(const std::filesystem::path& path, std::string_view content);
absl::Status SyncFile(const std::filesystem::path& path);
/// What was created, renamed and removed in it is on stable storage.
absl::Status SyncFolder(const std::filesystem::path& path);
/// Takes the place of what is at `to`, at once. Not synced.
absl::Status RenameFile(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace selvage
