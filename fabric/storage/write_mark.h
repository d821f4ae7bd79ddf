#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/storage/marked_store.h"

namespace selvage {

/// A WriteMark in a small file of its own, synced apart from the engine's files.
///
/// Layout (docs/formats.md, "Newest writes"), big-endian:
///   version u32 ‖ left out u64 ‖ count u32 ‖ count × (number u64 ‖ length u16 ‖ subject) ‖ XXH3-64 of all
///   before

/// A missing file is an empty mark. Errors: kDataLoss "write_mark_damaged"; kFailedPrecondition
/// "store_format_newer" for a version this program does not know; kInternal when the file cannot be read.
absl::StatusOr<WriteMark> ReadWriteMark(const std::filesystem::path& path);

/// Replaces the file, see ReplaceSyncedFile.
absl::Status StoreWriteMark(const std::filesystem::path& path, const WriteMark& mark);

}  // namespace selvage
