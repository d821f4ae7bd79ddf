#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ctl/digest_compare.h"
#include "ctl/options.h"
#include "ctl/session.h"
#include "ctl/verify_tables.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr uint32_t kEntriesInPage = 1000;
// Whole entries are read from the disk for a page, so one call may take long on a slow one.
constexpr absl::Duration kPageTime = absl::Seconds(60);

struct VerifyOptions {
  std::string stream;
  std::string edge;
  std::string edge_address;
  std::string table;
  absl::Duration settle = absl::Seconds(5);
};

/// One log at both ends, and what came of it.
struct LogResult {
  v1::LogAddress at_core;
  v1::LogAddress at_edge;
  std::string not_compared;  // why; empty: `comparison` holds
  Comparison comparison;

  const char* word() const {
    if (!not_compared.empty()) return "not compared";
    return comparison.equal() ? "equal" : "different";
  }
};

/// The two nodes, and which edge it is.
struct Ends {
  Client core;
  Client edge;
  std::string edge_id;
};

absl::StatusOr<std::string> NodeOf(const Client& client, const std::string& role) {
  absl::StatusOr<v1::GetStatusResponse> status =
      client.Call(&Client::Stub::GetStatus, v1::GetStatusRequest());
  if (!status.ok()) return Annotate(status.status(), "asking the " + role);
  if (status->role() == role) return status->node();
  return MakeError(absl::StatusCode::kInvalidArgument, "wrong_role",
                   fmt::format("{} is the {} {}", client.options().address, status->role(), status->node()),
                   "--address is the core's, --edge-address the edge's, unless it is asked over its link");
}

absl::StatusOr<Ends> Connect(Session& session, const VerifyOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(Client core, session.Connect());
  if (options.edge.empty() && options.edge_address.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "bad_value", "it is not said which edge is meant",
                     "give its id: --edge rig-7; selvagectl edge list shows the edges");
  }
  SELVAGE_ASSIGN_OR_RETURN(Client edge, options.edge_address.empty() ? session.ConnectEdge(options.edge)
                                                                     : session.Connect(options.edge_address));
  SELVAGE_RETURN_IF_ERROR(NodeOf(core, "core").status());
  SELVAGE_ASSIGN_OR_RETURN(std::string edge_id, NodeOf(edge, "edge"));
  if (!options.edge.empty() && options.edge != edge_id) {
    return MakeError(absl::StatusCode::kInvalidArgument, "wrong_edge",
                     fmt::format("{} is edge {}, not {}", options.edge_address, edge_id, options.edge),
                     "give the address of the edge that is meant");
  }
  return Ends{std::move(core), std::move(edge), std::move(edge_id)};
}

using Streams = std::map<std::string, v1::StreamDefinition>;

absl::StatusOr<Streams> StreamsOf(const Client& client) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ListStreamsResponse response,
                           client.Call(&Client::Stub::ListStreams, v1::ListStreamsRequest()));
  Streams streams;
  for (const v1::StreamDefinition& stream : response.streams()) {
    if (stream.direction() != v1::LOCAL) streams.emplace(stream.name(), stream);
  }
  return streams;
}

absl::StatusOr<std::vector<LogResult>> LogsToCompare(const Ends& ends, const std::string& only) {
  SELVAGE_ASSIGN_OR_RETURN(Streams at_core, StreamsOf(ends.core));
  SELVAGE_ASSIGN_OR_RETURN(Streams at_edge, StreamsOf(ends.edge));
  Streams all = at_core;
  all.insert(at_edge.begin(), at_edge.end());
  std::vector<LogResult> logs;
  for (const auto& [name, stream] : all) {
    if (!only.empty() && name != only) continue;
    for (int32_t p = 0; p < stream.partitions(); ++p) {
      LogResult& log = logs.emplace_back();
      log.at_core.set_stream(name);
      log.at_core.set_partition(p);
      log.at_edge = log.at_core;
      if (stream.direction() != v1::DOWN_SHARED) log.at_core.set_edge(ends.edge_id);
      if (!at_core.contains(name)) log.not_compared = "the core has no such stream";
      if (!at_edge.contains(name)) log.not_compared = "the edge has no such stream";
    }
  }
  if (!logs.empty()) return logs;
  return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                   only.empty() ? "there is no stream between the two"
                                : fmt::format("there is no stream {} between the two", QuoteValue(only)),
                   "selvagectl stream list shows those there are");
}

DigestPages PagesOf(const Client& client, const v1::LogAddress& address) {
  return [&client, &address](int64_t offset) {
    v1::ReadDigestsRequest request;
    *request.mutable_address() = address;
    request.set_offset(offset);
    request.set_max_entries(kEntriesInPage);
    return client.Call(&Client::Stub::ReadDigests, request, kPageTime);
  };
}

void Compare(const Ends& ends, LogResult& log) {
  if (!log.not_compared.empty()) return;
  absl::StatusOr<Comparison> comparison =
      CompareDigests(PagesOf(ends.core, log.at_core), PagesOf(ends.edge, log.at_edge));
  if (comparison.ok()) {
    log.comparison = *std::move(comparison);
  } else if (comparison.status().code() == absl::StatusCode::kDataLoss) {
    log.comparison.difference = Describe(comparison.status());  // a node found damage in what it stores
  } else {
    log.not_compared = Describe(comparison.status());
  }
}

std::string GapText(const LogResult& log, const OneSidedGap& gap) {
  return fmt::format("gap: {}/{}: the {} lacks offsets {}..{}, which the {} holds", log.at_edge.stream(),
                     log.at_edge.partition(), gap.at_core ? "core" : "edge", gap.from, gap.to - 1,
                     gap.at_core ? "edge" : "core");
}

void PrintTable(std::ostream& out, const std::vector<LogResult>& logs) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"stream"},
               {"partition", kRight},
               {"offsets"},
               {"entries", kRight},
               {"records", kRight},
               {"core end", kRight},
               {"edge end", kRight},
               {"result"}});
  for (const LogResult& log : logs) {
    const Comparison& c = log.comparison;
    bool compared = log.not_compared.empty() && (c.core_end > 0 || c.edge_end > 0 || c.equal());
    auto number = [&](int64_t n) { return compared ? std::to_string(n) : std::string(); };
    std::string why = log.not_compared.empty() ? c.difference : log.not_compared;
    table.Add({log.at_edge.stream(), std::to_string(log.at_edge.partition()),
               c.from == c.to ? "" : fmt::format("{}..{}", c.from, c.to - 1), number(c.entries),
               number(c.records), number(c.core_end), number(c.edge_end),
               why.empty() ? log.word() : fmt::format("{}: {}", log.word(), why)});
  }
  table.Print(out);
}

boost::json::value LogJson(const LogResult& log) {
  const Comparison& c = log.comparison;
  boost::json::array gaps;
  for (const OneSidedGap& gap : c.gaps) {
    gaps.push_back({{"missing_at", gap.at_core ? "core" : "edge"}, {"from", gap.from}, {"to", gap.to}});
  }
  return {{"stream", log.at_edge.stream()},
          {"partition", log.at_edge.partition()},
          {"result", log.not_compared.empty() ? (c.equal() ? "equal" : "different") : "not_compared"},
          {"from", c.from},
          {"to", c.to},
          {"entries", c.entries},
          {"records", c.records},
          {"core_end", c.core_end},
          {"edge_end", c.edge_end},
          {"gaps", std::move(gaps)},
          {"difference", c.difference},
          {"not_compared", log.not_compared}};
}

/// What was found at all.
struct Found {
  std::vector<LogResult> logs;
  std::vector<TableResult> tables;
};

/// All logs in one line, and what came of logs and tables together.
struct Totals {
  size_t different = 0;
  size_t not_compared = 0;
  size_t equal = 0;
  int64_t entries = 0;
  int64_t records = 0;
  size_t tables_different = 0;
  size_t tables_not_compared = 0;

  explicit Totals(const Found& found) {
    for (const LogResult& log : found.logs) {
      size_t& count = !log.not_compared.empty() ? not_compared : log.comparison.equal() ? equal : different;
      ++count;
      entries += log.comparison.entries;
      records += log.comparison.records;
    }
    for (const TableResult& table : found.tables) {
      if (table.equal()) continue;
      ++(table.not_compared.empty() ? tables_different : tables_not_compared);
    }
  }
  const char* word() const {
    if (different + tables_different > 0) return "different";
    return not_compared + tables_not_compared > 0 ? "not_compared" : "equal";
  }
  ExitCode exit_code() const {
    if (different + tables_different > 0) return kFailed;
    return not_compared + tables_not_compared > 0 ? kNotCompared : kDone;
  }
};

void Report(Session& session, const Ends& ends, const Found& found) {
  Totals totals(found);
  session.exit_code = totals.exit_code();
  if (session.json()) {
    boost::json::array array;
    for (const LogResult& log : found.logs) array.push_back(LogJson(log));
    PrintJson(session.out(), {{"edge", ends.edge_id},
                              {"result", totals.word()},
                              {"entries", totals.entries},
                              {"records", totals.records},
                              {"logs", std::move(array)},
                              {"tables", TablesJson(found.tables)}});
    return;
  }
  if (!found.logs.empty()) {
    PrintTable(session.out(), found.logs);
    for (const LogResult& log : found.logs) {
      for (const OneSidedGap& gap : log.comparison.gaps) {
        session.out() << Printable(GapText(log, gap)) << '\n';
      }
    }
    session.out() << fmt::format(
        "edge {}: {} logs equal, {} different, {} not compared; {} entries, {} records alike\n",
        Printable(ends.edge_id), totals.equal, totals.different, totals.not_compared, totals.entries,
        totals.records);
  }
  if (!found.tables.empty()) PrintTables(session.out(), ends.edge_id, found.tables);
}

absl::StatusOr<std::vector<TableResult>> TablesToVerify(Session& session, const Ends& ends,
                                                        const VerifyOptions& options) {
  auto tables = VerifyTables(session, ends.core, ends.edge, ends.edge_id, options.table, options.settle);
  // A node from before there were tables has none.
  if (!tables.ok() && options.table.empty() && ErrorKind(tables.status()) == "not_offered") {
    return std::vector<TableResult>();
  }
  return tables;
}

absl::Status Verify(Session& session, const VerifyOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(Ends ends, Connect(session, options));
  Found found;
  if (options.stream.empty()) {
    SELVAGE_ASSIGN_OR_RETURN(found.tables, TablesToVerify(session, ends, options));
  }
  if (options.table.empty()) {
    auto logs = LogsToCompare(ends, options.stream);
    const bool only_tables =
        options.stream.empty() && !found.tables.empty() && ErrorKind(logs.status()) == "unknown_stream";
    if (!logs.ok() && !only_tables) return logs.status();
    if (logs.ok()) found.logs = *std::move(logs);
    for (LogResult& log : found.logs) Compare(ends, log);
  }
  Report(session, ends, found);
  return absl::OkStatus();
}

}  // namespace

void AddVerify(CLI::App& app, Session& session) {
  CLI::App* verb = app.add_subcommand(
      "verify", "Compare what the core and an edge have stored: streams entry by entry, tables row by row");
  auto options = std::make_shared<VerifyOptions>();
  verb->add_option("--edge", options->edge, "Which edge; it is asked over its link (--address is the core)");
  verb->add_option("--edge-address", options->edge_address,
                   "Ask the edge at its own address instead, host:port: needs no link");
  CLI::Option* stream =
      verb->add_option("--stream", options->stream, "Only this one (default all between the two)");
  verb->add_option("--table", options->table, "Only this one (default all between the two)")
      ->excludes(stream);
  AddParsed(*verb, "--settle", options->settle, ParseDuration,
            "How long a row that differs is looked at again, for changes under way (default 5s)");
  verb->callback([&session, options] {
    absl::Status status = Verify(session, *options);
    if (!status.ok()) session.exit_code = kNotCompared;
    session.Finish(status);
  });
}

}  // namespace selvage::ctl
