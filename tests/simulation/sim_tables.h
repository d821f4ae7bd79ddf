#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/table/table_store.h"
#include "tests/simulation/sim_clock.h"
#include "tests/simulation/surroundings.h"
#include "tests/simulation/table_ledger.h"

namespace selvage::sim {

/// The programs that use the tables of one node: some write, and one follows the changes and tells the ledger
/// of them. Lives as long as the node.
class SimTables {
 public:
  SimTables(Surroundings world, std::string node, bool is_edge, SimClock& clock);

  /// The tables that there are to be; an edge may make one on its own.
  static v1::TableDefinition Definition(const std::string& table);

  TableCopy& copy() { return copy_; }
  /// The node starts with these tables.
  void Opened(table::TableStore& tables);
  /// Looks at all that changed.
  void Follow(table::TableStore& tables);
  /// One program does something to a table.
  void Write(table::TableStore& tables);
  /// Puts a row that is not there yet, in the shared table.
  void PutOne(table::TableStore& tables);
  /// What a follower knows must be what a reader finds.
  void CheckFollowed(table::TableStore& tables);

 private:
  struct Batch {
    std::string table;
    std::vector<table::RowOperation> operations;
    std::vector<std::string> deleted;
    std::vector<std::pair<TableLedger::Target, int64_t>> added;
  };

  void FollowTable(table::TableStore& tables, const std::string& name);
  /// A query in the order of an index must find these rows, each once.
  void CheckIndexed(table::TableStore& tables, const std::string& name,
                    const std::vector<table::RowView>& rows);
  void ScanAll(table::TableStore& tables, const std::string& name);
  void AddOperation(Batch& batch);
  void PutOnce(Batch& batch, const std::string& prefix);
  void DeleteOnce(Batch& batch, const std::string& prefix);
  void AddToCounts(Batch& batch, const std::string& prefix);
  void UseExpiring(Batch& batch, const std::string& prefix);
  void Submit(table::TableStore& tables, Batch batch);
  table::CanonicalJson Value(const Batch& batch, const std::string& key, const std::string& field);
  int64_t wall_ms() { return absl::ToUnixMillis(clock_.Wall()); }

  Surroundings world_;
  TableLedger& ledger_;
  SimClock& clock_;
  const std::string field_;  ///< that only this machine adds to
  TableCopy copy_;
  uint64_t seen_ = 0;
};

}  // namespace selvage::sim
