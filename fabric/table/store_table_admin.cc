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
  SELVAGE_ASSIGN_OR_RETURN(const v1::TableDefinition complete,
                           ChangedBy(tables_.Find(request.table()), request));
  SELVAGE_RETURN_IF_ERROR(tables_.Set(complete));
  return complete;
}

absl::Status StoreTableAdmin::Drop(const std::string& table) {
  absl::MutexLock lock(&mutex_);
  return tables_.Drop(table);
}

}  // namespace selvage::table
