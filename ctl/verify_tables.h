#pragma once

#include <boost/json/array.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ctl/client.h"
#include "ctl/row_compare.h"
#include "ctl/session.h"

namespace selvage::ctl {

/// One table at both ends, and what came of it.
struct TableResult {
  std::string table;
  std::string prefix;        ///< of the rows that the edge has
  std::string not_compared;  ///< why; empty: `comparison` holds
  RowComparison comparison = {};
  std::string core_row = {};  ///< JSON of the row that differs; empty: it is not there
  std::string edge_row = {};
  std::string note = {};  ///< what may explain the difference

  bool equal() const { return not_compared.empty() && !comparison.difference; }
  std::string word() const {
    if (!not_compared.empty()) return "not compared";
    return comparison.difference ? "different" : "equal";
  }
};

/// Compares the tables between the core and an edge, or `only` this one. A row that differs is looked at
/// again for so long. Error: "unknown_table" for `only`; of a list of tables that cannot be had.
absl::StatusOr<std::vector<TableResult>> VerifyTables(Session& session, const Client& core,
                                                      const Client& edge, const std::string& edge_id,
                                                      const std::string& only, absl::Duration settle);

void PrintTables(std::ostream& out, const std::string& edge_id, const std::vector<TableResult>& tables);
boost::json::array TablesJson(const std::vector<TableResult>& tables);

}  // namespace selvage::ctl
