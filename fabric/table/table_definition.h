#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "selvage/v1/table.pb.h"

namespace selvage::table {

/// Stands for the edge's id in TableSettings.prefix.
inline constexpr std::string_view kEdgeInPrefix = "${edge}";
/// True when each edge has rows of its own.
inline bool HasPrefixOfEdge(const v1::TableSettings& settings) {
  return settings.prefix().find(kEdgeInPrefix) != std::string::npos;
}
/// Bytes of TableSettings.prefix.
inline constexpr size_t kTablePrefixMax = 256;

/// The settings of a table of which its maker says nothing.
v1::TableSettings DefaultTableSettings();

/// Fills in what a definition leaves open and checks it: name (by the rule of streams), direction, prefix,
/// size of rows (1 KiB to 1 MiB), priority and weight, times, incarnation (16 bytes, or none yet). Error:
/// "invalid_table" (kInvalidArgument) with what is allowed.
absl::StatusOr<v1::TableDefinition> CompleteDefinition(v1::TableDefinition definition);

/// Error: "invalid_table" for a definition without an incarnation, which a peer's has.
absl::Status CheckIncarnation(const v1::TableDefinition& definition);

/// Whether two definitions may be of one table: its direction is immutable. Error: "definition_mismatch"
/// (kFailedPrecondition).
absl::Status CheckSameShape(const v1::TableDefinition& have, const v1::TableDefinition& other);

/// The definition with what the request changes of its settings; its generation stays. Errors:
/// "unknown_table" without a definition, "generation_mismatch", those of CompleteDefinition.
absl::StatusOr<v1::TableDefinition> ChangedBy(std::optional<v1::TableDefinition> definition,
                                              const v1::SetTableRequest& request);

/// Copies the named fields of `from` into `into`. Error: "invalid_table" for an unknown field.
absl::Status MergeSettings(const v1::TableSettings& from, const std::vector<std::string>& fields,
                           v1::TableSettings& into);

/// The prefix of the rows that `edge` has, of a complete definition.
std::string PrefixOfEdge(const v1::TableSettings& settings, std::string_view edge);

}  // namespace selvage::table
