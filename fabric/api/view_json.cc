#include "fabric/api/view_json.h"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "fabric/api/members.h"
#include "fabric/base/error.h"
#include "fabric/base/utf8.h"
#include "fabric/table/canonical_json.h"
#include "fabric/view/view_definition.h"

namespace selvage::api {
namespace {

/// Of what a view says is wrong.
constexpr size_t kErrorTextMax = 4096;

/// A text that may be left out, and is not empty.
absl::StatusOr<std::string> TakeName(Members& members, std::string_view name) {
  SELVAGE_ASSIGN_OR_RETURN(auto text, members.TakeText(name));
  if (!text) return std::string();
  if (text->empty()) return members.Wrong(name, "left out, or not empty");
  return *std::move(text);
}

absl::StatusOr<v1::ViewGroupField> ReadGroupField(std::string_view json, std::string where) {
  SELVAGE_ASSIGN_OR_RETURN(Members members, Members::Parse(json, std::move(where)));
  v1::ViewGroupField field;
  SELVAGE_ASSIGN_OR_RETURN(*field.mutable_path(), TakeName(members, "path"));
  SELVAGE_ASSIGN_OR_RETURN(*field.mutable_name(), TakeName(members, "name"));
  if (field.path().empty()) return members.Wrong("path", "given");
  SELVAGE_RETURN_IF_ERROR(members.NothingElse());
  return field;
}

absl::StatusOr<v1::ViewColumn> ReadColumn(std::string_view json, std::string where) {
  SELVAGE_ASSIGN_OR_RETURN(Members members, Members::Parse(json, std::move(where)));
  v1::ViewColumn column;
  SELVAGE_ASSIGN_OR_RETURN(const auto word, members.TakeText("function"));
  const auto function = word ? view::FunctionOfWord(*word) : std::nullopt;
  if (!function) return members.Wrong("function", "one of count, sum, mean, min, max and distinct");
  column.set_function(*function);
  SELVAGE_ASSIGN_OR_RETURN(*column.mutable_path(), TakeName(members, "path"));
  SELVAGE_ASSIGN_OR_RETURN(*column.mutable_name(), TakeName(members, "name"));
  SELVAGE_RETURN_IF_ERROR(members.NothingElse());
  return column;
}

absl::Status ReadAggregate(Members& members, v1::ViewAggregate& aggregate) {
  SELVAGE_ASSIGN_OR_RETURN(const auto group_by, members.TakeArray("group_by", view::kGroupFieldsMax));
  SELVAGE_ASSIGN_OR_RETURN(const auto columns, members.TakeArray("columns", view::kColumnsMax));
  SELVAGE_ASSIGN_OR_RETURN(const auto window_ms,
                           members.TakeInteger("window_ms", view::kWindowMsMin, view::kViewTimeMsMax));
  SELVAGE_ASSIGN_OR_RETURN(const auto lateness_ms,
                           members.TakeInteger("lateness_ms", 0, view::kViewTimeMsMax));
  SELVAGE_ASSIGN_OR_RETURN(const auto keep_ms, members.TakeInteger("keep_ms", 0, view::kViewTimeMsMax));
  if (!columns) return members.Wrong("columns", "given, unless the view is one of newest records");
  if (lateness_ms && !window_ms) return members.Wrong("lateness_ms", "left out where no window_ms is given");
  if (keep_ms && !window_ms) return members.Wrong("keep_ms", "left out where no window_ms is given");
  for (size_t i = 0; group_by && i < group_by->size(); ++i) {
    SELVAGE_ASSIGN_OR_RETURN(*aggregate.add_group_by(),
                             ReadGroupField((*group_by)[i], fmt::format("group_by[{}]", i)));
  }
  for (size_t i = 0; i < columns->size(); ++i) {
    SELVAGE_ASSIGN_OR_RETURN(*aggregate.add_columns(),
                             ReadColumn((*columns)[i], fmt::format("columns[{}]", i)));
  }
  aggregate.set_window_ms(window_ms.value_or(0));
  aggregate.set_lateness_ms(lateness_ms.value_or(0));
  aggregate.set_keep_ms(keep_ms.value_or(0));
  return absl::OkStatus();
}

/// Writes an object, member by member.
class ObjectText {
 public:
  explicit ObjectText(std::string& out) : out_(out) { out_ += '{'; }
  ~ObjectText() { out_ += '}'; }
  ObjectText(const ObjectText&) = delete;
  ObjectText& operator=(const ObjectText&) = delete;

  void Text(std::string_view name, std::string_view text) {
    Name(name);
    table::AppendJsonString(out_, text);
  }
  template <class T>
  void Plain(std::string_view name, const T& value) {
    Name(name);
    out_ += fmt::to_string(value);
  }
  /// `append` writes each element.
  template <class List, class Append>
  void Array(std::string_view name, const List& list, const Append& append) {
    Name(name);
    out_ += '[';
    bool first = true;
    for (const auto& element : list) {
      if (!std::exchange(first, false)) out_ += ',';
      append(element);
    }
    out_ += ']';
  }
  /// The name of a member whose value the caller writes.
  void Name(std::string_view name) {
    if (!std::exchange(first_, false)) out_ += ',';
    out_ += fmt::format("\"{}\":", name);
  }

 private:
  std::string& out_;
  bool first_ = true;
};

void AppendAggregate(ObjectText& view, const v1::ViewAggregate& aggregate, std::string& json) {
  view.Array("group_by", aggregate.group_by(), [&](const v1::ViewGroupField& field) {
    ObjectText one(json);
    one.Text("path", field.path());
    one.Text("name", field.name());
  });
  view.Array("columns", aggregate.columns(), [&](const v1::ViewColumn& column) {
    ObjectText one(json);
    one.Text("function", view::FunctionWord(column.function()));
    if (!column.path().empty()) one.Text("path", column.path());
    one.Text("name", column.name());
  });
  if (aggregate.window_ms() == 0) return;
  view.Plain("window_ms", aggregate.window_ms());
  view.Plain("lateness_ms", aggregate.lateness_ms());
  view.Plain("keep_ms", aggregate.keep_ms());
}

void AppendDefinition(ObjectText& view, const v1::ViewDefinition& definition, std::string& json) {
  view.Text("name", definition.name());
  view.Text("stream", definition.stream());
  if (definition.has_newest()) {
    view.Plain("newest", true);
  } else {
    AppendAggregate(view, definition.aggregate(), json);
  }
}

void AppendLog(const v1::ViewLog& log, std::string& json) {
  ObjectText one(json);
  if (!log.edge().empty()) {
    one.Text("edge", log.edge());
    one.Plain("slot", log.slot());
  }
  one.Plain("partition", log.partition());
  one.Plain("superseded", log.superseded());
  one.Plain("next", log.next());
  one.Plain("end", log.end());
  one.Plain("behind", log.behind());
  one.Plain("records", log.records());
  one.Plain("lost", log.lost());
  one.Plain("trimmed", log.trimmed());
  if (log.has_diverged_at()) one.Plain("diverged_at", log.diverged_at());
  if (log.has_watermark_ms()) one.Plain("watermark_ms", log.watermark_ms());
}

void AppendSkipped(const v1::SkippedRecord& record, std::string& json) {
  ObjectText one(json);
  if (!record.edge().empty()) one.Text("edge", record.edge());
  one.Plain("partition", record.partition());
  one.Plain("offset", record.offset());
  one.Plain("timestamp_ms", record.timestamp_ms());
  one.Text("reason", record.reason());
  one.Text("what", record.what());
}

}  // namespace

absl::StatusOr<v1::ViewDefinition> ReadView(const std::string& name, std::string_view json) {
  SELVAGE_ASSIGN_OR_RETURN(Members members, Members::Parse(json, ""));
  v1::ViewDefinition definition;
  definition.set_name(name);
  SELVAGE_ASSIGN_OR_RETURN(auto stream, members.TakeText("stream"));
  if (!stream) return members.Wrong("stream", "given");
  definition.set_stream(*std::move(stream));
  const auto newest = members.Take("newest");
  if (newest && newest->text() != "true") return members.Wrong("newest", "true, or left out");
  if (newest) {
    definition.mutable_newest();
  } else {
    SELVAGE_RETURN_IF_ERROR(ReadAggregate(members, *definition.mutable_aggregate()));
  }
  SELVAGE_RETURN_IF_ERROR(members.NothingElse());
  return definition;
}

std::string ViewDefinitionJson(const v1::ViewDefinition& definition) {
  std::string json;
  {
    ObjectText view(json);
    AppendDefinition(view, definition, json);
  }
  return json;
}

std::string ViewsJson(const std::vector<v1::ViewDefinition>& definitions) {
  std::string json;
  {
    ObjectText all(json);
    all.Array("views", definitions,
              [&](const v1::ViewDefinition& definition) { json += ViewDefinitionJson(definition); });
  }
  return json;
}

std::string ViewJson(const v1::ViewStatus& status) {
  v1::ViewLog sums;
  for (const v1::ViewLog& log : status.logs()) {
    sums.set_records(sums.records() + log.records());
    sums.set_behind(sums.behind() + log.behind());
    sums.set_lost(sums.lost() + log.lost());
    sums.set_trimmed(sums.trimmed() + log.trimmed());
  }
  std::string json;
  {
    ObjectText view(json);
    AppendDefinition(view, status.definition(), json);
    view.Plain("records", sums.records());
    view.Plain("behind", sums.behind());
    view.Plain("lost", sums.lost());
    view.Plain("trimmed", sums.trimmed());
    view.Plain("rebuilding", status.rebuilding());
    if (status.rebuilding()) view.Plain("rebuild_behind", status.rebuild_behind());
    if (!status.error().empty()) view.Text("error", DocumentText(status.error(), kErrorTextMax));
    view.Array("logs", status.logs(), [&](const v1::ViewLog& log) { AppendLog(log, json); });
    view.Name("skipped");
    {
      ObjectText skipped(json);
      for (const auto& [reason, count] : std::map(status.skipped().begin(), status.skipped().end())) {
        skipped.Plain(reason, count);
      }
    }
    view.Array("skipped_records", status.skipped_records(),
               [&](const v1::SkippedRecord& record) { AppendSkipped(record, json); });
  }
  return json;
}

}  // namespace selvage::api
