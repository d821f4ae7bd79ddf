#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace selvage {

/// Reads a certificate or key file. Errors: "certificate_missing" when there is none,
/// "certificate_unreadable" when it may not be read, is not a regular file or is longer than 1 MiB.
absl::StatusOr<std::string> ReadCredentialFile(const std::string& path);

/// What WriteCredentialFile does with a file that is there already.
enum class Existing { kReplace, kRefuse };

/// Writes a file so that a reader, or a crash, sees all of it or nothing: a temporary file beside it, synced,
/// then put in its place, then the folder synced. `mode` holds from the first byte. Errors: "file_exists"
/// under Existing::kRefuse, "file_write_failed".
absl::Status WriteCredentialFile(const std::string& path, std::string_view content, mode_t mode,
                                 Existing existing);

}  // namespace selvage
