#include "fabric/api/local_tables.h"

#include <fmt/format.h>

#include "fabric/base/error.h"
#include "fabric/base/id128.h"
#include "fabric/base/names.h"

namespace selvage::api {

absl::StatusOr<v1::TableDefinition> LocalTables::Create(const v1::TableDefinition& wanted) {
  if (!IsStreamName(wanted.name())) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_table_name",
                     fmt::format("a table cannot be named \"{:.300}\"", wanted.name()),
                     fmt::format("write 1 to {} letters, digits, dots, _ and -", kMaxStreamName));
  }
  v1::TableDefinition definition = wanted;
  if (definition.direction() == v1::TABLE_DIRECTION_UNSPECIFIED) definition.set_direction(v1::TABLE_BOTH);
  definition.set_incarnation(Id128<struct TableIncarnationTag>::Mint(random_).bytes());
  SELVAGE_RETURN_IF_ERROR(tables_.Create(definition));
  return definition;
}

absl::StatusOr<v1::TableDefinition> LocalTables::Set(const std::string& table,
                                                     const v1::TableSettings& settings) {
  auto definition = tables_.Find(table);
  if (!definition) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_table",
                     fmt::format("there is no table {}", table));
  }
  *definition->mutable_settings() = settings;
  SELVAGE_RETURN_IF_ERROR(tables_.Set(*definition));
  return *definition;
}

}  // namespace selvage::api
