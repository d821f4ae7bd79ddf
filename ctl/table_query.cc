#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "ctl/options.h"
#include "ctl/row_line.h"
#include "ctl/table_commands.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

using Tables = Client::Tables;

constexpr int64_t kQueriedInPage = 1000;  // the most that a node gives

struct QueryOptions {
  std::string table;
  std::string from;
  std::string to;
  std::string prefix;
  std::string filter;
  std::string order;
  std::vector<std::string> fields;
  std::string after;
  int64_t limit = -1;
  bool descending = false;
  bool count = false;
  bool explain = false;
};

absl::StatusOr<v1::QueryRowsRequest> RequestOf(const QueryOptions& options) {
  v1::QueryRowsRequest request;
  request.set_table(options.table);
  request.set_from(options.from);
  request.set_to(options.to);
  request.set_prefix(options.prefix);
  request.set_filter(options.filter);
  request.set_order(options.order);
  request.set_descending(options.descending);
  for (const std::string& field : options.fields) request.add_fields(field);
  request.set_count(options.count);
  request.set_explain(options.explain);
  if (!absl::WebSafeBase64Unescape(options.after, request.mutable_after())) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_continuation",
                     "--after is not what an earlier query said");
  }
  return request;
}

/// Prints page by page, until the last row, the limit or an interruption.
absl::Status Query(Session& session, const QueryOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(v1::QueryRowsRequest request, RequestOf(options));
  SELVAGE_ASSIGN_OR_RETURN(const Client client, session.Connect());
  uint64_t count = 0;
  int64_t left = options.limit < 0 ? INT64_MAX : options.limit;
  bool more = true;
  while (more && (left > 0 || options.count || options.explain) && session.out()) {
    if (session.world.interrupted && session.world.interrupted()) break;
    request.set_rows_max(static_cast<uint32_t>(std::clamp<int64_t>(left, 1, kQueriedInPage)));
    SELVAGE_ASSIGN_OR_RETURN(const v1::QueryRowsResponse page, client.Call(&Tables::QueryRows, request));
    if (options.explain) {
      session.out() << ShownJson(page.plan()) << '\n';
      return absl::OkStatus();
    }
    for (const v1::TableRow& row : page.rows()) session.out() << RowLineText(row, session.json()) << '\n';
    session.out().flush();
    left -= page.rows_size();
    count += page.count();
    more = page.has_next();
    request.set_after(page.next());
  }
  if (options.count && !more) session.out() << count << '\n';
  if (more && !request.after().empty()) {
    session.err() << fmt::format("to go on: --after {}\n", absl::WebSafeBase64Escape(request.after()));
    if (options.count) session.err() << fmt::format("{} rows so far\n", count);
  }
  return absl::OkStatus();
}

}  // namespace

void AddQuery(CLI::App& noun, Session& session) {
  auto options = std::make_shared<QueryOptions>();
  CLI::App* verb = noun.add_subcommand("query", "Print the rows that a filter wants (docs/tables.md)");
  verb->add_option("table", options->table)->required();
  verb->add_option("filter", options->filter, R"(As of MongoDB: '{"bar":{"$gte":7},"unit":"bar"}')")
      ->required();
  verb->add_option("--prefix", options->prefix, "Only keys that begin with this");
  verb->add_option("--from", options->from, "Only keys from this one on, in the order of their bytes");
  verb->add_option("--to", options->to, "Only keys before this one");
  verb->add_option("--order", options->order,
                   "By the field at this path, or '$key' (default as the rows are found)");
  verb->add_flag("--descending", options->descending, "The order from its end");
  verb->add_option("--fields", options->fields, "Only these fields of each row, by their paths")
      ->delimiter(',');
  verb->add_option("--limit", options->limit, "Rows at most; how to go on is said")->check(AtLeast(0));
  verb->add_option("--after", options->after, "Go on, with all else as it was");
  CLI::Option* count = verb->add_flag("--count", options->count, "Only how many rows there are");
  verb->add_flag("--explain", options->explain, "Only how it would be answered")->excludes(count);
  verb->callback([&session, options] { session.Finish(Query(session, *options)); });
}

}  // namespace selvage::ctl
