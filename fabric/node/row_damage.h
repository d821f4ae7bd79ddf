#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/node/alarm_book.h"
#include "fabric/table/table_store.h"

namespace selvage {

/// One alarm for each table of which damaged rows are known, as long as some are. What is known is in memory:
/// an alarm from before a start stays until the row is met and replaced, or the table is dropped.
class RowDamage {
 public:
  static constexpr std::string_view kKind = "damaged_rows";

  /// Both must outlive it.
  RowDamage(const table::TableStore& tables, AlarmBook& alarms) : tables_(tables), alarms_(alarms) {}

  /// Raises, renews and ends alarms; about once a second, from one thread.
  void Report();

 private:
  const table::TableStore& tables_;
  AlarmBook& alarms_;
  std::map<std::string, std::vector<std::string>> reported_;  // keys, by table
};

}  // namespace selvage
