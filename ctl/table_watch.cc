#include <fmt/format.h>

#include <memory>
#include <string>

#include "ctl/options.h"
#include "ctl/row_line.h"
#include "ctl/table_commands.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr absl::Duration kWatchPoll = absl::Seconds(5);  // how long a node holds an answer back
constexpr absl::Duration kWatchPause = absl::Seconds(1);

struct WatchOptions {
  std::string table;
  std::string from;
  std::string prefix;
  int64_t max_changes = -1;
  bool follow = true;
};

/// Prints what changed, page by page. `next` is where to go on, also after an error.
absl::Status PrintChanges(Session& session, const Client& client, const WatchOptions& options,
                          std::string& next) {
  v1::WatchTableRequest request;
  request.set_table(options.table);
  request.set_prefix(options.prefix);
  int64_t printed = 0;
  while (session.out() && !(session.world.interrupted && session.world.interrupted())) {
    const int64_t left = options.max_changes < 0 ? 0 : options.max_changes - printed;
    if (options.max_changes >= 0 && left == 0) break;
    request.set_from(next);
    request.set_rows_max(static_cast<uint32_t>(std::min<int64_t>(left, 1000)));
    request.set_max_wait_ms(options.follow ? static_cast<uint32_t>(absl::ToInt64Milliseconds(kWatchPoll))
                                           : 0);
    const auto page = client.Call(&Client::Tables::WatchTable, request, kWatchPoll);
    if (!page.ok()) {
      if (!options.follow || !IsRetryable(page.status())) return page.status();
      session.err() << "trying again: " << Printable(Describe(page.status())) << std::endl;
      if (!session.world.pause(kWatchPause)) break;
      continue;
    }
    for (const v1::RowChange& change : page->changes()) session.out() << ChangeLineText(change) << '\n';
    session.out().flush();
    printed += page->changes_size();
    next = page->next();
    if (!options.follow && !page->more()) break;
  }
  return absl::OkStatus();
}

absl::Status WatchTable(Session& session, const WatchOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(const Client client, session.Connect());
  std::string next = options.from;
  if (next.empty()) next = options.follow ? "end" : "start";
  if (next == "start") next.clear();
  const absl::Status status = PrintChanges(session, client, options, next);
  session.Finish(status);
  if (!next.empty() && next != "end") session.err() << fmt::format("to resume: --from {}\n", Printable(next));
  return absl::OkStatus();
}

}  // namespace

void AddWatch(CLI::App& noun, Session& session) {
  auto options = std::make_shared<WatchOptions>();
  CLI::App* verb = noun.add_subcommand(
      "watch", "Print rows as they change, as lines of JSON, and follow; a deleted row is null");
  verb->add_option("table", options->table)->required();
  verb->add_option("--from", options->from,
                   "start, end, or a position that this node gave out (default end; start with --no-follow)");
  verb->add_option("--prefix", options->prefix, "Only keys that begin with this");
  verb->add_option("--max-changes", options->max_changes, "Stop after so many")->check(AtLeast(0));
  verb->add_flag("--follow,!--no-follow", options->follow,
                 "Wait for more (default), or stop at the present end");
  verb->callback([&session, options] { session.Finish(WatchTable(session, *options)); });
}

}  // namespace selvage::ctl
