#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>

#include "ctl/input_file.h"
#include "ctl/options.h"
#include "ctl/retry.h"
#include "ctl/row_importer.h"
#include "ctl/table_commands.h"
#include "ctl/units.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr size_t kImportLineMax = 16 << 20;
constexpr char kClearProgress[] = "\r\x1b[K";
constexpr absl::Duration kImportProgress = absl::Milliseconds(200);
/// A request that passes over a link is smaller (fabric/link/call_flows.h).
constexpr size_t kOverLinkBytes = 32 << 10;
constexpr size_t kOverLinkRows = 100;

struct ImportOptions {
  std::string file;
  absl::Duration retry_for = absl::Minutes(1);
  RowImporter::Options importer;
};

std::string ProgressOf(const ImportOutcome& outcome, absl::Duration elapsed) {
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-3);
  return fmt::format("{} lines in, {}, {:.0f} rows/s", outcome.lines,
                     HumanBytes(static_cast<double>(outcome.bytes)),
                     static_cast<double>(outcome.rows) / seconds);
}

void ReportImport(Session& session, const std::string& table, const ImportOutcome& outcome,
                  const absl::Status& status) {
  session.Finish(status);
  session.err() << fmt::format("{} {} imported\n", outcome.rows, outcome.rows == 1 ? "row" : "rows");
  if ((!status.ok() || outcome.interrupted) && outcome.lines > 0) {
    session.err() << fmt::format("{} lines are in; to resume: --skip {}\n", outcome.lines, outcome.lines);
  }
  if (!session.json()) return;
  PrintJson(session.out(), {{"table", table},
                            {"lines", outcome.lines},
                            {"rows", outcome.rows},
                            {"bytes", outcome.bytes},
                            {"interrupted", outcome.interrupted},
                            {"error", ErrorJson(status)}});
}

/// Fails early and clearly: no connection, no such table.
absl::Status CheckTable(const Client& client, const std::string& table) {
  v1::DescribeTableRequest request;
  request.set_table(table);
  return client.Call(&Client::Tables::DescribeTable, request).status();
}

absl::Status Import(Session& session, const ImportOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(const InputFile file, InputFile::Open(options.file, session.world.in));
  SELVAGE_ASSIGN_OR_RETURN(const Client client, session.Connect());
  SELVAGE_RETURN_IF_ERROR(CheckTable(client, options.importer.table));
  const bool draw = session.world.err_is_terminal;
  RowImporter::Options importing = options.importer;
  if (!session.connection.edge.empty()) {
    importing.batch_bytes = std::min(importing.batch_bytes, kOverLinkBytes);
    importing.batch_rows = std::min(importing.batch_rows, kOverLinkRows);
  }
  const RetryOptions retry{options.retry_for, session.world.pause, [&session, draw](const std::string& why) {
                             session.err() << (draw ? kClearProgress : "") << Printable(why) << std::endl;
                           }};
  importing.write = [&](const v1::WriteRowsRequest& request) {
    return RetryFor(retry, [&] { return client.Call(&Client::Tables::WriteRows, request); });
  };
  importing.interrupted = session.world.interrupted;
  if (draw) {
    const absl::Duration started = SystemClock().Monotonic();
    importing.progress = [&session, started, drawn = started](const ImportOutcome& outcome) mutable {
      const absl::Duration now = SystemClock().Monotonic();
      if (now - drawn < kImportProgress) return;
      drawn = now;
      session.err() << kClearProgress << ProgressOf(outcome, now - started) << std::flush;
    };
  }
  LineInput lines(file.fd(), kImportLineMax);
  RowImporter importer(std::move(importing));
  const absl::Status status = importer.Run(lines);
  if (draw) session.err() << kClearProgress;
  ReportImport(session, options.importer.table, importer.outcome(), status);
  return absl::OkStatus();
}

}  // namespace

void AddImport(CLI::App& noun, Session& session) {
  auto options = std::make_shared<ImportOptions>();
  RowImporter::Options& importer = options->importer;
  CLI::App* verb = noun.add_subcommand(
      "import", R"(Put rows that are lines of JSON, {"key":"...","row":{...}}, as export prints them)");
  verb->add_option("table", importer.table)->required();
  verb->add_option("--file", options->file, "Read this file instead of the standard input");
  verb->add_option("--skip", importer.skip, "Leave out so many lines at the start: resumes an earlier run")
      ->check(AtLeast(0));
  verb->add_option("--batch-rows", importer.batch_rows, "Rows that are put at once, all or none of them")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  AddParsed(*verb, "--retry-for", options->retry_for, ParseDuration,
            "How long to wait for a node that is away, overloaded or full (default 1m)");
  verb->callback([&session, options] { session.Finish(Import(session, *options)); });
}

}  // namespace selvage::ctl
