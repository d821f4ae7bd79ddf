#include "fabric/table/table_definition.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/table/table_types.h"

namespace selvage::table {
namespace {

constexpr size_t kIncarnationBytes = 16;
constexpr uint32_t kRowBytesMin = 1024;
constexpr uint32_t kTablePriority = 5;
constexpr uint32_t kPriorityMax = 9;
constexpr uint32_t kWeightMax = 1000;

absl::Status InvalidTable(std::string_view what, std::string_view hint) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_table", what, hint);
}

/// What an edge's id is made of (IsDnsLabel).
bool CanBeInEdgeId(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/// The end of an edge's id must be seen in a key: with "site/${edge}" the rows of rig-7 would be those of
/// rig-70 as well.
absl::Status CheckPrefix(const std::string& table, std::string_view prefix) {
  if (prefix.size() > kTablePrefixMax) {
    return InvalidTable(fmt::format("the prefix of table {} has {} bytes", table, prefix.size()),
                        fmt::format("at most {} bytes", kTablePrefixMax));
  }
  if (!IsValidUtf8(prefix)) {
    return InvalidTable(fmt::format("the prefix of table {} is not valid UTF-8", table), "keys are UTF-8");
  }
  size_t edges = 0;
  for (size_t at = prefix.find("${"); at != std::string_view::npos; at = prefix.find("${", at + 1)) {
    if (!prefix.substr(at).starts_with(kEdgeInPrefix)) {
      return InvalidTable(fmt::format("the prefix of table {} names something else than ${{edge}}", table),
                          "only ${edge} is known, as in site/${edge}/");
    }
    const std::string_view behind = prefix.substr(at + kEdgeInPrefix.size());
    if (behind.empty() || CanBeInEdgeId(behind.front())) {
      return InvalidTable(
          fmt::format("in the prefix of table {} it cannot be seen where the edge's id ends", table),
          "put a character behind ${edge} that is none of a-z, 0-9 and '-', as in site/${edge}/");
    }
    ++edges;
  }
  if (edges > 1) {
    return InvalidTable(fmt::format("the prefix of table {} names ${{edge}} more than once", table),
                        "once, as in site/${edge}/");
  }
  return absl::OkStatus();
}

}  // namespace

v1::TableSettings DefaultTableSettings() {
  v1::TableSettings settings;
  settings.set_row_bytes_max(kRowBytesDefault);
  settings.set_priority(kTablePriority);
  settings.set_weight(1);
  return settings;
}

absl::StatusOr<v1::TableDefinition> CompleteDefinition(v1::TableDefinition definition) {
  if (!IsStreamName(definition.name())) {
    return InvalidTable(fmt::format("'{}' is not a table name", definition.name()),
                        fmt::format("use 1 to {} of a-z, A-Z, 0-9, '.', '_' and '-'", kMaxStreamName));
  }
  const std::string& name = definition.name();
  if (definition.direction() == v1::TABLE_DIRECTION_UNSPECIFIED) {
    return InvalidTable(fmt::format("table {} has no direction", name), "one of up, down, both, local");
  }
  if (!v1::TableDirection_IsValid(definition.direction())) {
    return InvalidTable(fmt::format("table {} has a direction that is not known here", name),
                        "it was written by a newer version: upgrade this node");
  }
  if (!definition.incarnation().empty() && definition.incarnation().size() != kIncarnationBytes) {
    return InvalidTable(
        fmt::format("the incarnation of table {} has {} bytes", name, definition.incarnation().size()),
        fmt::format("{} bytes", kIncarnationBytes));
  }
  v1::TableSettings& settings = *definition.mutable_settings();
  SELVAGE_RETURN_IF_ERROR(CheckPrefix(name, settings.prefix()));
  if (settings.row_bytes_max() == 0) settings.set_row_bytes_max(kRowBytesDefault);
  if (settings.row_bytes_max() < kRowBytesMin || settings.row_bytes_max() > kRowBytesDefault) {
    return InvalidTable(fmt::format("rows of table {} of up to {} bytes", name, settings.row_bytes_max()),
                        fmt::format("{} to {} bytes", kRowBytesMin, kRowBytesDefault));
  }
  if (settings.weight() == 0) settings.set_weight(1);
  if (settings.priority() > kPriorityMax) {
    return InvalidTable(fmt::format("priority {}", settings.priority()), "0 to 9");
  }
  if (settings.weight() > kWeightMax) {
    return InvalidTable(fmt::format("weight {}", settings.weight()), "1 to 1000");
  }
  if (settings.expired_kept_ms() < 0) {
    return InvalidTable(fmt::format("expired rows of table {} kept for a negative time", name),
                        "0 for a day, or a positive time");
  }
  if (settings.tombstones_kept_ms() < 0 || settings.tombstones_kept_max_ms() < 0) {
    return InvalidTable(fmt::format("tombstones of table {} kept for a negative time", name),
                        "0 for the default, or a positive time");
  }
  if (settings.tombstones_kept_max_ms() > 0 &&
      settings.tombstones_kept_max_ms() < settings.tombstones_kept_ms()) {
    return InvalidTable(fmt::format("tombstones of table {} kept for less at most than at least", name),
                        "raise tombstones_kept_max_ms");
  }
  return definition;
}

absl::Status CheckIncarnation(const v1::TableDefinition& definition) {
  constexpr size_t kIdSize = 16;
  if (definition.incarnation().size() == kIdSize) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_table",
                   fmt::format("table {} has no incarnation", definition.name().substr(0, 200)));
}

absl::Status CheckSameShape(const v1::TableDefinition& have, const v1::TableDefinition& other) {
  if (have.direction() == other.direction()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "definition_mismatch",
      fmt::format("table {} is {} here and {} there", have.name(), v1::TableDirection_Name(have.direction()),
                  v1::TableDirection_Name(other.direction())),
      "the direction is immutable: drop one of the two tables, or make one under another name");
}

absl::Status MergeSettings(const v1::TableSettings& from, const std::vector<std::string>& fields,
                           v1::TableSettings& into) {
  const auto* descriptor = v1::TableSettings::descriptor();
  const auto* reflection = v1::TableSettings::GetReflection();
  v1::TableSettings merged = into;
  v1::TableSettings named = from;
  for (const std::string& name : fields) {
    const auto* field = descriptor->FindFieldByName(name);
    if (field == nullptr) {
      return InvalidTable(fmt::format("unknown setting {}", name), "see selvagectl table set --help");
    }
    reflection->ClearField(&merged, field);
  }
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (std::find(fields.begin(), fields.end(), field->name()) == fields.end()) {
      reflection->ClearField(&named, field);
    }
  }
  merged.MergeFrom(named);
  into = merged;
  return absl::OkStatus();
}

std::string PrefixOfEdge(const v1::TableSettings& settings, std::string_view edge) {
  std::string prefix = settings.prefix();
  if (const size_t at = prefix.find(kEdgeInPrefix); at != std::string::npos) {
    prefix.replace(at, kEdgeInPrefix.size(), edge);
  }
  return prefix;
}

absl::StatusOr<v1::TableDefinition> ChangedBy(std::optional<v1::TableDefinition> definition,
                                              const v1::SetTableRequest& request) {
  if (!definition) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_table",
                     fmt::format("there is no table {}", request.table()), "see selvagectl table list");
  }
  if (request.if_generation() != 0 && request.if_generation() != definition->generation()) {
    return MakeError(absl::StatusCode::kAborted, "generation_mismatch",
                     fmt::format("table {} has generation {}, not {}", request.table(),
                                 definition->generation(), request.if_generation()),
                     "look at the table again and decide anew");
  }
  SELVAGE_RETURN_IF_ERROR(MergeSettings(request.settings(),
                                        {request.fields().begin(), request.fields().end()},
                                        *definition->mutable_settings()));
  return CompleteDefinition(*std::move(definition));
}

}  // namespace selvage::table
