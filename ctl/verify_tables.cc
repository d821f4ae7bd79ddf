#include "ctl/verify_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <map>
#include <optional>
#include <utility>

#include "ctl/row_line.h"
#include "fabric/base/error.h"
#include "fabric/config/value.h"
#include "fabric/table/canonical_json.h"
#include "fabric/table/table_definition.h"

namespace selvage::ctl {
namespace {

using Tables = Client::Tables;

// 50,000 rows are read from the disk for one answer.
constexpr absl::Duration kAnswerTime = absl::Seconds(60);
constexpr absl::Duration kLookAgain = absl::Seconds(1);
constexpr size_t kRowShown = 300;

using Definitions = std::map<std::string, v1::TableDefinition>;

absl::StatusOr<Definitions> TablesOf(const Client& client) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ListTablesResponse response,
                           client.Call(&Tables::ListTables, v1::ListTablesRequest()));
  Definitions tables;
  for (v1::TableDefinition& table : *response.mutable_tables()) {
    if (table.direction() != v1::TABLE_LOCAL) tables.emplace(table.name(), std::move(table));
  }
  return tables;
}

RowDigests DigestsOf(const Client& client) {
  return [&client](const v1::DigestRowsRequest& request) {
    return client.Call(&Tables::DigestRows, request, kAnswerTime);
  };
}

absl::StatusOr<v1::GetRowResponse> RowAt(const Client& client, const std::string& table,
                                         const std::string& key) {
  v1::GetRowRequest request;
  request.set_table(table);
  request.set_key(key);
  return client.Call(&Tables::GetRow, request);
}

/// The row's JSON; empty when it is not there, or cannot be had.
std::string JsonOf(const absl::StatusOr<v1::GetRowResponse>& row) {
  return row.ok() ? row->row().json() : std::string();
}

uint64_t QuarantinedAt(const Client& client, const std::string& table) {
  v1::DescribeTableRequest request;
  request.set_table(table);
  const auto response = client.Call(&Tables::DescribeTable, request);
  return response.ok() ? response->quarantined() : 0;
}

/// True when rows that this edge does not get may be written by another one.
bool MayDiffer(const v1::TableDefinition& table) {
  return table.direction() == v1::TABLE_UP &&
         table::PrefixOfEdge(table.settings(), "a") == table::PrefixOfEdge(table.settings(), "b");
}

class TableVerifier {
 public:
  TableVerifier(Session& session, const Client& core, const Client& edge, absl::Duration settle)
      : core_(core), edge_(edge) {
    copies_ = {DigestsOf(core), DigestsOf(edge), [&session, settle](int looks) {
                 return looks * kLookAgain < settle && session.world.pause(kLookAgain);
               }};
  }

  void Verify(const v1::TableDefinition& definition, TableResult& result) const {
    v1::DigestRowsRequest range;
    range.set_table(result.table);
    range.set_prefix(result.prefix);
    absl::StatusOr<RowComparison> comparison = CompareRows(copies_, range);
    if (!comparison.ok()) {
      result.not_compared = Describe(comparison.status());
      return;
    }
    result.comparison = *std::move(comparison);
    if (!result.comparison.difference) return;
    const RowDifference& difference = *result.comparison.difference;
    const auto core_row = RowAt(core_, result.table, difference.key);
    const auto edge_row = RowAt(edge_, result.table, difference.key);
    result.core_row = JsonOf(core_row);
    result.edge_row = JsonOf(edge_row);
    const uint64_t waiting = QuarantinedAt(core_, result.table) + QuarantinedAt(edge_, result.table);
    if (waiting > 0) {
      result.note =
          fmt::format("{} changes wait in quarantine: selvagectl table quarantine {}", waiting, result.table);
    }
    for (const auto& [end, row] : {std::pair("core", &core_row), std::pair("edge", &edge_row)}) {
      if (ErrorKind(row->status()) == "corrupt_row")
        result.note = fmt::format("the {}: {}", end, Describe(row->status()));
    }
    if (MayDiffer(definition)) {
      result.not_compared = fmt::format(
          "row {} differs, which it may: every edge may write it, and none gets it from the others",
          difference.key);
    } else if (difference.changing) {
      result.not_compared = fmt::format("row {} keeps changing", difference.key);
    }
  }

 private:
  const Client& core_;
  const Client& edge_;
  TableCopies copies_;
};

std::string SideText(const char* end, const std::string& version, const std::string& row) {
  if (version.empty()) return fmt::format("the {} does not have it", end);
  std::string shown = ShownJson(table::CutUtf8(row, kRowShown));
  if (row.size() > kRowShown) shown += "...";
  return fmt::format("the {} has version {}{}", end, Hex(version), shown.empty() ? "" : ": " + shown);
}

boost::json::value RowJson(const std::string& version, const std::string& row) {
  if (version.empty()) return nullptr;
  return {{"version", Hex(version)}, {"row", row}};
}

}  // namespace

absl::StatusOr<std::vector<TableResult>> VerifyTables(Session& session, const Client& core,
                                                      const Client& edge, const std::string& edge_id,
                                                      const std::string& only, absl::Duration settle) {
  SELVAGE_ASSIGN_OR_RETURN(const Definitions at_core, TablesOf(core));
  SELVAGE_ASSIGN_OR_RETURN(const Definitions at_edge, TablesOf(edge));
  Definitions all = at_core;
  all.insert(at_edge.begin(), at_edge.end());
  const TableVerifier verifier(session, core, edge, settle);
  std::vector<TableResult> results;
  for (const auto& [name, definition] : all) {
    if (!only.empty() && name != only) continue;
    TableResult& result = results.emplace_back();
    result.table = name;
    result.prefix = table::PrefixOfEdge(definition.settings(), edge_id);
    if (!at_core.contains(name)) result.not_compared = "the core has no such table";
    if (!at_edge.contains(name)) result.not_compared = "the edge has no such table";
    if (result.not_compared.empty()) verifier.Verify(definition, result);
  }
  if (!results.empty() || only.empty()) return results;
  return MakeError(absl::StatusCode::kNotFound, "unknown_table",
                   fmt::format("there is no table {} between the two", QuoteValue(only)),
                   "selvagectl table list shows those there are");
}

void PrintTables(std::ostream& out, const std::string& edge_id, const std::vector<TableResult>& tables) {
  Table shown({{"table"}, {"prefix"}, {"rows alike", Table::Align::kRight}, {"result"}});
  size_t equal = 0;
  size_t not_compared = 0;
  uint64_t rows = 0;
  for (const TableResult& table : tables) {
    equal += table.equal() ? 1 : 0;
    not_compared += table.not_compared.empty() ? 0 : 1;
    rows += table.comparison.rows;
    shown.Add({table.table, table.prefix, std::to_string(table.comparison.rows),
               table.not_compared.empty() ? table.word()
                                          : fmt::format("{}: {}", table.word(), table.not_compared)});
  }
  shown.Print(out);
  for (const TableResult& table : tables) {
    if (!table.comparison.difference) continue;
    const RowDifference& difference = *table.comparison.difference;
    out << fmt::format("difference: table {}, row {}: {}; {}\n", Printable(table.table),
                       Printable(difference.key), SideText("core", difference.core_version, table.core_row),
                       SideText("edge", difference.edge_version, table.edge_row));
    if (!table.note.empty()) out << "  " << Printable(table.note) << '\n';
  }
  out << fmt::format("edge {}: {} tables equal, {} different, {} not compared; {} rows alike\n",
                     Printable(edge_id), equal, tables.size() - equal - not_compared, not_compared, rows);
}

boost::json::array TablesJson(const std::vector<TableResult>& tables) {
  boost::json::array array;
  for (const TableResult& table : tables) {
    boost::json::value difference;
    if (table.comparison.difference) {
      const RowDifference& found = *table.comparison.difference;
      difference = {{"key", found.key},
                    {"core", RowJson(found.core_version, table.core_row)},
                    {"edge", RowJson(found.edge_version, table.edge_row)}};
    }
    array.push_back({{"table", table.table},
                     {"prefix", table.prefix},
                     {"result", !table.not_compared.empty() ? "not_compared" : table.word()},
                     {"rows", table.comparison.rows},
                     {"difference", std::move(difference)},
                     {"not_compared", table.not_compared},
                     {"note", table.note}});
  }
  return array;
}

}  // namespace selvage::ctl
