#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/random.h"
#include "fabric/table/table_admin.h"
#include "fabric/table/table_store.h"

namespace selvage::table {

/// Makes, changes and drops tables in the node's own store alone. What it makes is provisional: it has no
/// generation.
class StoreTableAdmin final : public TableAdmin {
 public:
  /// Both must outlive it.
  StoreTableAdmin(TableStore& tables, Random& random) : tables_(tables), random_(random) {}

  absl::StatusOr<v1::TableDefinition> Create(v1::TableDefinition definition) override;
  absl::StatusOr<v1::TableDefinition> Set(const v1::SetTableRequest& request) override;
  absl::Status Drop(const std::string& table) override;

 private:
  TableStore& tables_;
  absl::Mutex mutex_;  ///< one change at a time: a setting that one Set changes is not undone by another
  Random& random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::table
