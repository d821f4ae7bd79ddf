#pragma once

#include <map>
#include <string>

#include "fabric/link/table_flows.h"
#include "fabric/node/node_identity.h"
#include "fabric/table/table_store.h"

namespace selvage {

/// The edge's part in tables: what is written here goes up, what the core gives is taken.
class UplinkTables : public TableEnd {
 public:
  /// Both must outlive it.
  UplinkTables(table::TableStore& tables, const NodeIdentity& identity)
      : tables_(tables), identity_(identity) {}

  std::map<std::string, Offer> Offers() override;
  uint64_t version() override { return tables_.changes(); }
  absl::StatusOr<table::TableSink::Options> TableFor(const v1::FlowOpen& open) override;

 private:
  table::TableStore& tables_;
  const NodeIdentity& identity_;
};

}  // namespace selvage
