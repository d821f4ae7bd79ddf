#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "fabric/table/operations.h"

namespace selvage::table {

/// What a JSON Merge Patch (RFC 7396) does to the row as readers see it at `now_ms`: null unsets a field, an
/// object is merged into the object that the field holds, anything else is set. A field that a patch changes
/// inside is set as a whole, as every field is. Errors (kInvalidArgument): those of ParseFields for the
/// patch.
absl::StatusOr<Update> UpdateOfMergePatch(const Row& row, std::string_view patch_json, int64_t now_ms);

}  // namespace selvage::table
