#include "edge/edge_tables.h"

#include <fmt/format.h>

#include <set>

#include "fabric/base/error.h"
#include "fabric/table/table_definition.h"

namespace selvage {
namespace {

constexpr std::string_view kMismatch = "table_mismatch";

}  // namespace

absl::Status EdgeTables::CheckOwn(const std::string& table) const {
  const auto known = tables_.Find(table);
  if (!known || known->generation() == 0) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "wrong_node",
                   fmt::format("table {} is defined at the core", table), "change it there");
}

absl::StatusOr<v1::TableDefinition> EdgeTables::Set(const v1::SetTableRequest& request) {
  SELVAGE_RETURN_IF_ERROR(CheckOwn(request.table()));
  return own_.Set(request);
}

absl::Status EdgeTables::Drop(const std::string& table) {
  SELVAGE_RETURN_IF_ERROR(CheckOwn(table));
  SELVAGE_RETURN_IF_ERROR(own_.Drop(table));
  alarms_.Clear(std::string(kMismatch), table);
  return absl::OkStatus();
}

absl::Status EdgeTables::Check(const v1::EdgeSpec& spec) {
  for (const v1::TableDefinition& definition : spec.tables()) {
    SELVAGE_RETURN_IF_ERROR(table::CompleteDefinition(definition).status());
    SELVAGE_RETURN_IF_ERROR(table::CheckIncarnation(definition));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> EdgeTables::Apply(const v1::EdgeSpec& spec) {
  std::set<std::string> wanted;
  bool whole = true;
  for (const v1::TableDefinition& definition : spec.tables()) {
    wanted.insert(definition.name());
    SELVAGE_ASSIGN_OR_RETURN(const bool agrees, ApplyOne(definition));
    whole = whole && agrees;
  }
  for (const v1::TableDefinition& have : tables_.All()) {
    if (have.generation() == 0 || wanted.contains(have.name())) continue;
    SELVAGE_RETURN_IF_ERROR(tables_.Drop(have.name()));
  }
  return whole;
}

absl::StatusOr<bool> EdgeTables::ApplyOne(const v1::TableDefinition& wanted) {
  const std::string& name = wanted.name();
  const auto have = tables_.Find(name);
  if (have && have->incarnation() != wanted.incarnation() && have->generation() > 0) {
    // Made again.
    SELVAGE_RETURN_IF_ERROR(tables_.Drop(name));
  } else if (have) {
    if (absl::Status same = table::CheckSameShape(*have, wanted); !same.ok()) {
      alarms_.Report({std::string(kMismatch), name, std::string(same.message()),
                      "export the rows that are needed, and drop the table here or at the core", true});
      return false;
    }
    alarms_.Clear(std::string(kMismatch), name);
    const bool is_news = have->SerializeAsString() != wanted.SerializeAsString();
    if (is_news) SELVAGE_RETURN_IF_ERROR(tables_.Set(wanted));
    return true;
  }
  SELVAGE_RETURN_IF_ERROR(tables_.Create(wanted));
  return true;
}

absl::Status EdgeTables::MakeProvisional() {
  for (const v1::TableDefinition& known : tables_.All()) {
    if (known.generation() == 0) continue;
    v1::TableDefinition provisional = known;
    provisional.set_generation(0);
    SELVAGE_RETURN_IF_ERROR(tables_.Set(provisional));
  }
  return absl::OkStatus();
}

}  // namespace selvage
