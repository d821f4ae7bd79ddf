#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/random.h"
#include "fabric/node/alarm_book.h"
#include "fabric/table/store_table_admin.h"
#include "fabric/table/table_admin.h"
#include "fabric/table/table_store.h"
#include "selvage/v1/control.pb.h"

namespace selvage {

/// The definitions of an edge's tables: those that the core gives it with the spec, and those made here,
/// which are provisional as long as the core does not know them. Safe to use from several threads.
class EdgeTables : public table::TableAdmin {
 public:
  /// All of them must outlive it.
  EdgeTables(table::TableStore& tables, Random& random, AlarmBook& alarms)
      : tables_(tables), own_(tables, random), alarms_(alarms) {}

  absl::StatusOr<v1::TableDefinition> Create(v1::TableDefinition definition) override {
    return own_.Create(std::move(definition));
  }
  /// Error besides: "wrong_node" for a table that the core defines.
  absl::StatusOr<v1::TableDefinition> Set(const v1::SetTableRequest& request) override;
  absl::Status Drop(const std::string& table) override;

  /// Makes the tables what the core wants. A provisional one that the core knows under its name is adopted
  /// with its rows; one that the core made again is another one, and begins empty; one that the core does not
  /// have any more goes. False when one disagrees, which is held with an alarm.
  absl::StatusOr<bool> Apply(const v1::EdgeSpec& spec);
  /// The core was set back: it may not know the tables that it gave to this edge. That must not drop them.
  absl::Status MakeProvisional();

 private:
  absl::Status CheckOwn(const std::string& table) const;
  absl::StatusOr<bool> ApplyOne(const v1::TableDefinition& wanted);

  table::TableStore& tables_;
  table::StoreTableAdmin own_;
  AlarmBook& alarms_;
};

}  // namespace selvage
