#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ctl/options.h"
#include "ctl/retry.h"
#include "ctl/row_line.h"
#include "ctl/table_commands.h"
#include "ctl/units.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

using Tables = Client::Tables;

constexpr uint32_t kRowsInPage = 1000;  // the most that a node gives
constexpr char kClearRow[] = "\r\x1b[K";
constexpr absl::Duration kExportProgress = absl::Milliseconds(200);

absl::Status GetRow(Session& session, const v1::GetRowRequest& request) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::GetRowResponse response, session.Ask(&Tables::GetRow, request));
  if (!response.has_row()) {
    return MakeError(absl::StatusCode::kNotFound, "row_absent",
                     fmt::format("table {} has no row {}", request.table(), QuoteValue(request.key())));
  }
  session.out() << (session.json() ? RowLineText(response.row(), true) : ShownJson(response.row().json()))
                << '\n';
  return absl::OkStatus();
}

void AddGet(CLI::App& noun, Session& session) {
  auto request = std::make_shared<v1::GetRowRequest>();
  auto table = std::make_shared<std::string>();
  auto key = std::make_shared<std::string>();
  CLI::App* verb =
      noun.add_subcommand("get", "Print one row as JSON; with -o json also its version and expiry");
  verb->add_option("table", *table)->required();
  verb->add_option("key", *key)->required();
  verb->callback([&session, request, table, key] {
    request->set_table(*table);
    request->set_key(*key);
    session.Finish(GetRow(session, *request));
  });
}

struct ScanOptions {
  std::string table;
  std::string from;
  std::string to;
  std::string prefix;
  int64_t limit = -1;
  bool skip_damaged = false;

  v1::ScanRowsRequest Request() const {
    v1::ScanRowsRequest request;
    request.set_table(table);
    request.set_from(from);
    request.set_to(to);
    request.set_prefix(prefix);
    request.set_past_damaged(skip_damaged);
    return request;
  }
};

void AddRange(CLI::App& verb, ScanOptions& options) {
  verb.add_option("--prefix", options.prefix, "Only keys that begin with this");
  verb.add_option("--from", options.from, "Only keys from this one on, in the order of their bytes");
  verb.add_option("--to", options.to, "Only keys before this one");
  verb.add_flag("--skip-damaged", options.skip_damaged,
                "Leave out rows whose stored bytes are damaged, and name them on the standard error");
}

/// How far a scan came.
struct ScanOutcome {
  uint64_t rows = 0;
  std::optional<std::string> next;  ///< the key to go on from; nothing: there are no more
  bool interrupted = false;
};

using ReadPage = std::function<absl::StatusOr<v1::ScanRowsResponse>(const v1::ScanRowsRequest& request)>;

/// Prints page by page, until the last row, the limit or an interruption.
absl::Status PrintRows(Session& session, v1::ScanRowsRequest request, int64_t limit, const ReadPage& read,
                       ScanOutcome& outcome) {
  outcome.next = request.from();
  while (outcome.next) {
    if (session.world.interrupted && session.world.interrupted()) {
      outcome.interrupted = true;
      break;
    }
    const auto left = limit < 0 ? kRowsInPage : static_cast<uint64_t>(limit) - outcome.rows;
    if (left == 0 || !session.out()) break;
    request.set_from(*outcome.next);
    request.set_rows_max(static_cast<uint32_t>(std::min<uint64_t>(left, kRowsInPage)));
    SELVAGE_ASSIGN_OR_RETURN(const v1::ScanRowsResponse page, read(request));
    for (const v1::TableRow& row : page.rows()) session.out() << RowLineText(row, session.json()) << '\n';
    session.out().flush();
    for (const std::string& key : page.damaged()) {
      session.err() << fmt::format("row {} is damaged, and is left out\n", Printable(key));
    }
    outcome.rows += static_cast<uint64_t>(page.rows_size());
    outcome.next = page.has_next() ? std::optional(page.next()) : std::nullopt;
  }
  return absl::OkStatus();
}

absl::Status Scan(Session& session, const ScanOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(const Client client, session.Connect());
  ScanOutcome outcome;
  SELVAGE_RETURN_IF_ERROR(PrintRows(
      session, options.Request(), options.limit,
      [&](const v1::ScanRowsRequest& request) { return client.Call(&Tables::ScanRows, request); }, outcome));
  if (outcome.next) session.err() << fmt::format("to go on: --from {}\n", ShellWord(*outcome.next));
  return absl::OkStatus();
}

void AddScan(CLI::App& noun, Session& session) {
  auto options = std::make_shared<ScanOptions>();
  CLI::App* verb = noun.add_subcommand(
      "scan", "Print rows as lines of JSON, in the order of their keys; with -o json also their versions");
  verb->add_option("table", options->table)->required();
  AddRange(*verb, *options);
  verb->add_option("--limit", options->limit, "Rows at most; the key to go on from is said")
      ->check(AtLeast(0));
  verb->callback([&session, options] { session.Finish(Scan(session, *options)); });
}

absl::Status Export(Session& session, const ScanOptions& options, absl::Duration retry_for) {
  SELVAGE_ASSIGN_OR_RETURN(const Client client, session.Connect());
  const bool draw = session.world.err_is_terminal;
  const absl::Duration started = SystemClock().Monotonic();
  absl::Duration drawn = started;
  ScanOutcome outcome;
  const auto progress = [&] {
    const absl::Duration now = SystemClock().Monotonic();
    if (!draw || now - drawn < kExportProgress) return;
    drawn = now;
    session.err() << kClearRow
                  << fmt::format("{} rows exported, {:.0f} rows/s", outcome.rows,
                                 static_cast<double>(outcome.rows) /
                                     std::max(absl::ToDoubleSeconds(now - started), 1e-3))
                  << std::flush;
  };
  const RetryOptions retry{
      .retry_for = retry_for, .pause = session.world.pause, .notice = [&](const std::string& why) {
        session.err() << (draw ? kClearRow : "") << Printable(why) << std::endl;
      }};
  const absl::Status status = PrintRows(
      session, options.Request(), options.limit,
      [&](const v1::ScanRowsRequest& request) {
        progress();
        return RetryFor(retry, [&] { return client.Call(&Tables::ScanRows, request); });
      },
      outcome);
  if (draw) session.err() << kClearRow;
  session.Finish(status);
  session.err() << fmt::format("{} {} exported\n", outcome.rows, outcome.rows == 1 ? "row" : "rows");
  if (outcome.next && outcome.rows > 0)
    session.err() << fmt::format("to resume: --from {}\n", ShellWord(*outcome.next));
  return absl::OkStatus();
}

void AddExport(CLI::App& noun, Session& session) {
  auto options = std::make_shared<ScanOptions>();
  auto retry_for = std::make_shared<absl::Duration>(absl::Minutes(1));
  CLI::App* verb = noun.add_subcommand("export", "Print all rows as lines of JSON, which import reads");
  verb->add_option("table", options->table)->required();
  AddRange(*verb, *options);
  AddParsed(*verb, "--retry-for", *retry_for, ParseDuration,
            "How long to wait for a node that is away (default 1m)");
  verb->callback([&session, options, retry_for] { session.Finish(Export(session, *options, *retry_for)); });
}

}  // namespace

void AddRowReads(CLI::App& noun, Session& session) {
  AddGet(noun, session);
  AddScan(noun, session);
  AddExport(noun, session);
}

}  // namespace selvage::ctl
