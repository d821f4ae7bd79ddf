#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "fabric/table/document.h"

/// The stored form of a row (docs/formats.md, "Row"). There is one form for each row.
namespace selvage::table {

/// `row` keeps the invariants of Row.
std::string EncodeRow(const Row& row);

/// Decodes what EncodeRow made. Errors: "corrupt_row" (kDataLoss) for anything else, also for values that are
/// not canonical and for rows that do not keep the invariants. Memory is bounded by a small multiple of the
/// bytes.
absl::StatusOr<Row> DecodeRow(std::string_view bytes);

}  // namespace selvage::table
