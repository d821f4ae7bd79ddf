#include "fabric/table/store_table_admin.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"
#include "fabric/table/table_definition.h"

namespace selvage::table {

absl::StatusOr<v1::TableDefinition> StoreTableAdmin::Create(v1::TableDefinition definition) {
  absl::MutexLock lock(&mutex_);
  definition.set_incarnation(Incarnation::Mint(random_).bytes());
  definition.set_generation(0);
  SELVAGE_ASSIGN_OR_RETURN(const v1::TableDefinition complete, CompleteDefinition(std::move(definition)));
  SELVAGE_RETURN_IF_ERROR(tables_.Create(complete));
  return complete;
}

absl::StatusOr<v1::TableDefinition> StoreTableAdmin::Set(const v1::SetTableRequest& request) {
  absl::MutexLock lock(&mutex_);
  auto definition = tables_.Find(request.table());
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
  SELVAGE_ASSIGN_OR_RETURN(const v1::TableDefinition complete, CompleteDefinition(*std::move(definition)));
  SELVAGE_RETURN_IF_ERROR(tables_.Set(complete));
  return complete;
}

absl::Status StoreTableAdmin::Drop(const std::string& table) {
  absl::MutexLock lock(&mutex_);
  return tables_.Drop(table);
}

}  // namespace selvage::table
