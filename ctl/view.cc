#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ctl/options.h"
#include "ctl/session.h"
#include "ctl/units.h"
#include "fabric/base/error.h"

/// selvagectl view: tables that are fed from streams.
namespace selvage::ctl {
namespace {

using Views = Client::Views;

absl::Status BadColumn(const std::string& text) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, "bad_value",
      fmt::format("--column {} is not [NAME=]FUNCTION or [NAME=]FUNCTION(FIELD)", QuoteValue(text)),
      "as in count, 'mean(bar)' or 'top=max(site.bar)'; functions are count, sum, mean, min, max "
      "and distinct");
}

absl::StatusOr<v1::ViewColumn> ColumnOf(const std::string& text) {
  v1::ViewColumn column;
  std::string rest = text;
  if (const size_t equals = rest.find('='); equals != std::string::npos) {
    column.set_name(rest.substr(0, equals));
    rest.erase(0, equals + 1);
  }
  if (const size_t open = rest.find('('); open != std::string::npos) {
    if (!rest.ends_with(')')) return BadColumn(text);
    column.set_path(rest.substr(open + 1, rest.size() - open - 2));
    rest.erase(open);
  }
  v1::ViewFunction function = v1::VIEW_FUNCTION_UNSPECIFIED;
  std::string word = "VIEW_";
  for (const char c : rest) word += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : '?';
  if (!v1::ViewFunction_Parse(word, &function) || function == v1::VIEW_FUNCTION_UNSPECIFIED) {
    return BadColumn(text);
  }
  column.set_function(function);
  return column;
}

/// "[NAME=]PATH".
v1::ViewGroupField GroupFieldOf(const std::string& text) {
  v1::ViewGroupField field;
  const size_t equals = text.find('=');
  if (equals != std::string::npos) field.set_name(text.substr(0, equals));
  field.set_path(equals == std::string::npos ? text : text.substr(equals + 1));
  return field;
}

std::string KindText(const v1::ViewDefinition& view) {
  if (view.has_newest()) return "newest";
  std::vector<std::string> columns;
  for (const v1::ViewColumn& column : view.aggregate().columns()) columns.push_back(column.name());
  return fmt::format("{}", fmt::join(columns, ","));
}

std::string GroupText(const v1::ViewDefinition& view) {
  if (view.has_newest()) return "$key";
  std::vector<std::string> fields;
  for (const v1::ViewGroupField& field : view.aggregate().group_by()) fields.push_back(field.path());
  return fmt::format("{}", fmt::join(fields, ","));
}

std::string TimeText(int64_t ms) {
  return ms == 0 ? std::string() : HumanSeconds(static_cast<double>(ms) / 1e3);
}

struct CreateOptions {
  v1::CreateViewRequest request;
  bool newest = false;
  std::vector<std::string> group_by;
  std::vector<std::string> columns;
  absl::Duration window, lateness, keep;
};

absl::Status CreateView(Session& session, CreateOptions& options) {
  v1::ViewDefinition& view = *options.request.mutable_definition();
  if (options.newest) {
    view.mutable_newest();
  } else {
    v1::ViewAggregate& aggregate = *view.mutable_aggregate();
    for (const std::string& text : options.group_by) *aggregate.add_group_by() = GroupFieldOf(text);
    for (const std::string& text : options.columns) {
      SELVAGE_ASSIGN_OR_RETURN(*aggregate.add_columns(), ColumnOf(text));
    }
    aggregate.set_window_ms(absl::ToInt64Milliseconds(options.window));
    aggregate.set_lateness_ms(absl::ToInt64Milliseconds(options.lateness));
    aggregate.set_keep_ms(absl::ToInt64Milliseconds(options.keep));
  }
  SELVAGE_ASSIGN_OR_RETURN(const v1::ViewDefinition made, session.Ask(&Views::CreateView, options.request));
  if (session.json()) {
    PrintJson(session.out(), made);
  } else {
    session.out() << fmt::format("view {} of stream {} created; its rows are in table {}\n",
                                 Printable(made.name()), Printable(made.stream()), Printable(made.name()));
  }
  return absl::OkStatus();
}

void AddCreate(CLI::App& noun, Session& session) {
  auto options = std::make_shared<CreateOptions>();
  CLI::App* verb = noun.add_subcommand("create", "Make a table that is fed from a stream of this node");
  v1::ViewDefinition& view = *options->request.mutable_definition();
  verb->add_option_function<std::string>(
          "name", [&view](const std::string& text) { view.set_name(text); }, "Of the view and of its table")
      ->required();
  verb->add_option_function<std::string>(
          "--stream", [&view](const std::string& text) { view.set_stream(text); }, "Whose records it reads")
      ->required();
  CLI::Option* newest =
      verb->add_flag("--newest", options->newest, "The row of each record key is its newest record");
  CLI::Option* group_by =
      verb->add_option("--group-by", options->group_by,
                       "[NAME=]FIELD or [NAME=]$key; a row for each value; may be repeated")
          ->take_all();
  CLI::Option* column =
      verb->add_option("--column", options->columns,
                       "[NAME=]count, or [NAME=]FUNCTION(FIELD) with sum, mean, min, max, distinct or count; "
                       "may be repeated")
          ->take_all();
  newest->excludes(group_by)->excludes(column);
  // A node takes a window of zero for none.
  newest->excludes(AddParsed(*verb, "--window", options->window, ParsePositiveDuration,
                             "A row for each window of this length, by the times of records"));
  newest->excludes(AddParsed(*verb, "--lateness", options->lateness, ParseDuration,
                             "How long a window takes records after its end (default 0)"));
  newest->excludes(AddParsed(*verb, "--keep", options->keep, ParseDuration,
                             "How long windows are kept after their end (default: for ever)"));
  verb->callback([&session, options] { session.Finish(CreateView(session, *options)); });
}

absl::Status ListViews(Session& session) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::ListViewsResponse response,
                           session.Ask(&Views::ListViews, v1::ListViewsRequest()));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  Table shown({{"view"}, {"stream"}, {"rows for"}, {"window"}, {"columns"}});
  for (const v1::ViewDefinition& view : response.views()) {
    shown.Add({view.name(), view.stream(), GroupText(view), TimeText(view.aggregate().window_ms()),
               KindText(view)});
  }
  shown.Print(session.out());
  return absl::OkStatus();
}

std::string NoteOf(const v1::ViewLog& log) {
  std::vector<std::string> notes;
  if (log.superseded()) notes.emplace_back("superseded");
  if (log.lost() > 0) notes.push_back(fmt::format("{} lost", log.lost()));
  if (log.trimmed() > 0) notes.push_back(fmt::format("{} gone before they were read", log.trimmed()));
  if (log.has_diverged_at()) notes.push_back(fmt::format("another history from {} on", log.diverged_at()));
  return fmt::format("{}", fmt::join(notes, "; "));
}

absl::Status DescribeView(Session& session, const std::string& name) {
  v1::DescribeViewRequest request;
  request.set_view(name);
  SELVAGE_ASSIGN_OR_RETURN(const v1::ViewStatus status, session.Ask(&Views::DescribeView, request));
  if (session.json()) {
    PrintJson(session.out(), status);
    return absl::OkStatus();
  }
  const v1::ViewDefinition& view = status.definition();
  std::vector<std::pair<std::string, std::string>> fields = {{"view", view.name()},
                                                             {"stream", view.stream()},
                                                             {"rows for", GroupText(view)},
                                                             {"columns", KindText(view)}};
  const v1::ViewAggregate& aggregate = view.aggregate();
  if (aggregate.window_ms() > 0) {
    fields.emplace_back("window", TimeText(aggregate.window_ms()));
    fields.emplace_back("lateness",
                        aggregate.lateness_ms() == 0 ? "none" : TimeText(aggregate.lateness_ms()));
    fields.emplace_back("kept", aggregate.keep_ms() == 0 ? "for ever" : TimeText(aggregate.keep_ms()));
  }
  if (status.rebuilding()) {
    fields.emplace_back("rebuilding", fmt::format("{} records to go", status.rebuild_behind()));
  }
  if (!status.error().empty()) fields.emplace_back("error", status.error());
  PrintFields(session.out(), fields);
  session.out() << "\nread from:\n";
  Table logs({{"edge"},
              {"partition", Table::Align::kRight},
              {"read to", Table::Align::kRight},
              {"behind", Table::Align::kRight},
              {"records", Table::Align::kRight},
              {"note"}});
  for (const v1::ViewLog& log : status.logs()) {
    logs.Add({log.edge(), std::to_string(log.partition()), std::to_string(log.next()),
              std::to_string(log.behind()), std::to_string(log.records()), NoteOf(log)});
  }
  logs.Print(session.out());
  if (status.skipped().empty()) return absl::OkStatus();
  session.out() << "\nskipped:\n";
  Table skipped({{"reason"}, {"records", Table::Align::kRight}});
  for (const auto& [reason, count] : std::map(status.skipped().begin(), status.skipped().end())) {
    skipped.Add({reason, std::to_string(count)});
  }
  skipped.Print(session.out());
  session.out() << "\nnewest of them:\n";
  Table records({{"edge"},
                 {"partition", Table::Align::kRight},
                 {"offset", Table::Align::kRight},
                 {"time"},
                 {"reason"},
                 {"what"}});
  for (const v1::SkippedRecord& record : status.skipped_records()) {
    records.Add({record.edge(), std::to_string(record.partition()), std::to_string(record.offset()),
                 HumanTimeMs(record.timestamp_ms()), record.reason(), record.what()});
  }
  records.Print(session.out());
  return absl::OkStatus();
}

absl::Status RebuildView(Session& session, const std::string& name) {
  v1::RebuildViewRequest request;
  request.set_view(name);
  SELVAGE_ASSIGN_OR_RETURN(const v1::RebuildViewResponse response, session.Ask(&Views::RebuildView, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    session.out() << fmt::format("view {} is built anew, beside the one that serves\n", Printable(name));
  }
  return absl::OkStatus();
}

absl::Status DropView(Session& session, const std::string& name) {
  v1::DropViewRequest request;
  request.set_view(name);
  SELVAGE_ASSIGN_OR_RETURN(const v1::DropViewResponse response, session.Ask(&Views::DropView, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    session.out() << fmt::format("view {} dropped, with its table\n", Printable(name));
  }
  return absl::OkStatus();
}

/// A verb whose only parameter is the view.
void AddOfView(CLI::App& noun, Session& session, const char* name, const char* help,
               absl::Status (*run)(Session&, const std::string&)) {
  auto view = std::make_shared<std::string>();
  CLI::App* verb = noun.add_subcommand(name, help);
  verb->add_option("name", *view)->required();
  verb->callback([&session, view, run] { session.Finish(run(session, *view)); });
}

}  // namespace

void AddView(CLI::App& app, Session& session) {
  CLI::App* noun = app.add_subcommand("view", "Views: tables that are fed from streams");
  noun->require_subcommand(1);
  AddCreate(*noun, session);
  noun->add_subcommand("list", "All views of this node")->callback([&session] {
    session.Finish(ListViews(session));
  });
  AddOfView(*noun, session, "describe", "How far it has read each log, and what it skipped", DescribeView);
  AddOfView(*noun, session, "rebuild", "Build it anew from its stream, beside the one that serves",
            RebuildView);
  AddOfView(*noun, session, "drop", "Drop a view with its table", DropView);
}

}  // namespace selvage::ctl
