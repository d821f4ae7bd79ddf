#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "selvage/v1/table.pb.h"

/// Rows as lines of JSON: what scan, export and watch print and import reads.
namespace selvage::ctl {

/// {"key":"p-7","row":{"bar":7}}, with "expires_at_ms" when the row expires.
struct RowLine {
  std::string key;
  std::string row;  ///< JSON, an object
  std::optional<int64_t> expires_at_ms;
};

/// Errors (kInvalidArgument): those of table::ParseFields; "invalid_row_line" when something is missing, of
/// the wrong type or not known. A "version", which scan prints with -o json, is passed over.
absl::StatusOr<RowLine> ParseRowLine(std::string_view line);

/// Without a newline. `whole`: also its version.
std::string RowLineText(const v1::TableRow& row, bool whole);
/// {"key":"p-7","row":{...},"position":"..."}; row is null when it was deleted.
std::string ChangeLineText(const v1::RowChange& change);

/// Canonical JSON with the characters escaped that could steer a terminal.
std::string ShownJson(std::string_view canonical);
/// `text` as one word of a shell's command line.
std::string ShellWord(std::string_view text);

}  // namespace selvage::ctl
