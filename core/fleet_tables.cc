#include "core/fleet_tables.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"
#include "fabric/table/table_definition.h"

namespace selvage {
namespace {

/// What edges may bring about.
constexpr size_t kTablesMax = 1'000;

/// Counts a change of this table, which is news for every edge unless the table is local.
uint64_t NextGeneration(const v1::TableDefinition& changed, CoreDocument::Change& change) {
  return changed.direction() == v1::TABLE_LOCAL ? change.NextGeneration() : change.NextGenerationOfAll();
}

}  // namespace

absl::StatusOr<v1::TableDefinition> FleetTables::Create(v1::TableDefinition definition) {
  SELVAGE_ASSIGN_OR_RETURN(definition, table::CompleteDefinition(std::move(definition)));
  definition.set_incarnation(table::Incarnation::Mint(random_).bytes());
  return CreateAs(std::move(definition));
}

absl::StatusOr<v1::TableDefinition> FleetTables::CreateOffered(v1::TableDefinition definition) {
  SELVAGE_RETURN_IF_ERROR(table::CheckIncarnation(definition));
  if (tables_.All().size() >= kTablesMax) {
    return MakeError(absl::StatusCode::kResourceExhausted, "too_many_tables",
                     fmt::format("an edge offers a table, and there are {} already", kTablesMax),
                     "drop tables that nobody needs, here or at the edge");
  }
  SELVAGE_ASSIGN_OR_RETURN(definition, table::CompleteDefinition(std::move(definition)));
  return CreateAs(std::move(definition));
}

absl::StatusOr<v1::TableDefinition> FleetTables::CreateAs(v1::TableDefinition definition) {
  {
    CoreDocument::Change change(core_);
    if (tables_.Find(definition.name())) {
      return MakeError(absl::StatusCode::kAlreadyExists, "table_exists",
                       fmt::format("there is a table {} already", definition.name()),
                       "selvagectl table describe shows it; table set changes its settings");
    }
    definition.set_generation(NextGeneration(definition, change));
    SELVAGE_RETURN_IF_ERROR(tables_.Create(definition, [&](WriteBatch& batch) { change.Stage(batch); }));
    change.Show();
  }
  specs_.ChangedAll();
  return definition;
}

absl::StatusOr<v1::TableDefinition> FleetTables::Set(const v1::SetTableRequest& request) {
  v1::TableDefinition definition;
  {
    CoreDocument::Change change(core_);
    SELVAGE_ASSIGN_OR_RETURN(definition, table::ChangedBy(tables_.Find(request.table()), request));
    definition.set_generation(NextGeneration(definition, change));
    SELVAGE_RETURN_IF_ERROR(tables_.Set(definition, [&](WriteBatch& batch) { change.Stage(batch); }));
    change.Show();
  }
  specs_.ChangedAll();
  return definition;
}

absl::Status FleetTables::Drop(const std::string& name) {
  {
    CoreDocument::Change change(core_);
    if (const auto known = tables_.Find(name)) NextGeneration(*known, change);
    SELVAGE_RETURN_IF_ERROR(tables_.Drop(name, [&](WriteBatch& batch) { change.Stage(batch); }));
    change.Show();
  }
  specs_.ChangedAll();
  return absl::OkStatus();
}

}  // namespace selvage
