#pragma once

#include <filesystem>
#include <map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/ids.h"

namespace selvage {

/// The ends up to which each log has acknowledged writes, kept in a small file of its own, apart from the
/// engine's files and synced apart from them: what the store is compared with when it is opened. A store that
/// recovered less than this has lost acknowledged data and must not be served as if whole.
///
/// Layout (docs/formats.md, "Acknowledged ends"), big-endian:
///   version u32 ‖ count u32 ‖ count × (log number u32 ‖ end i64) ‖ XXH3-64 of all before
using AckedEnds = std::map<LogNumber, Offset>;

/// A missing file is an empty map. Errors: kDataLoss "acked_ends_damaged"; kFailedPrecondition
/// "store_format_newer" for a version this program does not know; kInternal when the file cannot be read.
absl::StatusOr<AckedEnds> ReadAckedEnds(const std::filesystem::path& path);

/// Replaces the file, see ReplaceSyncedFile.
absl::Status WriteAckedEnds(const std::filesystem::path& path, const AckedEnds& ends);

}  // namespace selvage
