#include "fabric/api/reply_json.h"

#include <fmt/format.h>

#include "fabric/api/conditions.h"
#include "fabric/api/definition_words.h"
#include "fabric/api/problem.h"
#include "fabric/api/request_json.h"
#include "fabric/api/route.h"
#include "fabric/table/canonical_json.h"

namespace selvage::api {
namespace {

/// Clients may keep an answer, and ask each time whether it is still the newest.
constexpr std::string_view kCacheControl = "no-cache";

void AppendText(std::string& json, std::string_view name, std::string_view text) {
  json += fmt::format("\"{}\":", name);
  table::AppendJsonString(json, text);
}

/// The members of a row within a page or an event.
void AppendRow(std::string& json, const table::RowView& row) {
  json += '{';
  AppendText(json, "key", row.key);
  json += ",\"row\":";
  json += row.json;
  json += fmt::format(",\"version\":\"{}\"", row.version.hex());
  if (row.expires_at_ms) json += fmt::format(",\"expires_at_ms\":{}", *row.expires_at_ms);
  json += '}';
}

/// Without the closing brace.
std::string OpenDefinition(const v1::TableDefinition& definition) {
  const v1::TableSettings& settings = definition.settings();
  std::string json = "{";
  AppendText(json, "name", definition.name());
  json += fmt::format(",\"direction\":\"{}\",", DirectionWord(definition.direction()));
  AppendText(json, "prefix", settings.prefix());
  json +=
      fmt::format(",\"row_bytes_max\":{},\"priority\":{},\"weight\":{},\"generation\":{}",
                  settings.row_bytes_max(), settings.priority(), settings.weight(), definition.generation());
  return json;
}

void AppendRows(std::string& json, const std::vector<table::RowView>& rows) {
  json += "\"rows\":[";
  for (const table::RowView& row : rows) {
    if (&row != &rows.front()) json += ',';
    AppendRow(json, row);
  }
  json += ']';
}

void AppendValidators(Reply& reply, const table::RowView& row) {
  reply.headers.emplace_back("ETag", ETag(row.version));
  reply.headers.emplace_back("Cache-Control", kCacheControl);
  if (row.expires_at_ms)
    reply.headers.emplace_back("Selvage-Expires-At-Ms", fmt::to_string(*row.expires_at_ms));
}

}  // namespace

Reply JsonReply(std::string json) {
  Reply reply;
  reply.body = std::move(json);
  reply.headers.emplace_back("Content-Type", kJsonType);
  reply.headers.emplace_back("Cache-Control", kCacheControl);
  return reply;
}

Reply RowReply(const table::RowView& row) {
  Reply reply;
  reply.body = row.json;
  reply.headers.emplace_back("Content-Type", kJsonType);
  AppendValidators(reply, row);
  return reply;
}

Reply NotModifiedReply(const table::RowView& row) {
  Reply reply{.status = 304};
  AppendValidators(reply, row);
  return reply;
}

Reply WrittenReply(const table::RowWritten& written) {
  Reply reply{.status = written.created ? 201 : 204};
  if (!written.version.none()) reply.headers.emplace_back("ETag", ETag(written.version));
  return reply;
}

std::string PageJson(const table::ScanPage& page) {
  std::string json = "{";
  AppendRows(json, page.rows);
  if (page.next) json += fmt::format(",\"next\":\"{}\"", Continuation(*page.next));
  json += '}';
  return json;
}

std::string PageJson(const table::QueryPage& page, bool count) {
  std::string json = "{";
  if (count) {
    json += fmt::format("\"count\":{}", page.count);
  } else {
    AppendRows(json, page.rows);
  }
  json += fmt::format(",\"looked_at\":{}", page.looked_at);
  if (page.next) json += fmt::format(",\"next\":\"{}\"", Continuation(*page.next));
  json += '}';
  return json;
}

std::string PlanJson(const std::string& plan) {
  return "{\"plan\":" + plan + "}";
}

std::string IndexJson(const table::IndexFacts& index) {
  std::string json = "{";
  AppendText(json, "name", index.name);
  json += ',';
  AppendText(json, "path", index.path);
  json += fmt::format(",\"ready\":{},\"rows_read\":{},\"rows_unread\":{}}}", index.ready, index.rows_read,
                      index.rows_unread);
  return json;
}

std::string BatchJson(const std::vector<std::string>& keys, const std::vector<table::RowWritten>& written) {
  std::string json = "{\"results\":[";
  for (size_t i = 0; i < written.size(); ++i) {
    if (i > 0) json += ',';
    json += '{';
    AppendText(json, "key", keys[i]);
    if (!written[i].version.none()) json += fmt::format(",\"version\":\"{}\"", written[i].version.hex());
    json += fmt::format(",\"created\":{}}}", written[i].created);
  }
  json += "]}";
  return json;
}

std::string DefinitionJson(const v1::TableDefinition& definition) {
  return OpenDefinition(definition) + "}";
}

std::string TablesJson(const std::vector<v1::TableDefinition>& definitions) {
  std::string json = "{\"tables\":[";
  for (const v1::TableDefinition& definition : definitions) {
    if (&definition != &definitions.front()) json += ',';
    json += DefinitionJson(definition);
  }
  json += "]}";
  return json;
}

std::string TableJson(const v1::TableDefinition& definition, const table::TableFacts& facts,
                      const std::vector<table::IndexFacts>& indexes) {
  std::string json =
      OpenDefinition(definition) +
      fmt::format(",\"rows\":{},\"tombstones\":{},\"bytes\":{},\"position\":\"{}\",\"indexes\":[",
                  facts.counts.rows, facts.counts.tombstones, facts.counts.bytes, facts.end.Text());
  for (const table::IndexFacts& index : indexes) {
    if (&index != &indexes.front()) json += ',';
    json += IndexJson(index);
  }
  json += "]}";
  return json;
}

std::string ChangeEvent(const table::RowChanged& change) {
  std::string event =
      fmt::format("id: {}\nevent: {}\ndata: ", change.position.Text(), change.row ? "put" : "delete");
  if (change.row) {
    AppendRow(event, *change.row);
  } else {
    event += '{';
    AppendText(event, "key", change.key);
    event += '}';
  }
  event += "\n\n";
  return event;
}

std::string PositionEvent(const table::FeedPosition& position) {
  // Without data it is no event to a client, but its id is the last one seen.
  return fmt::format(": everything before this was sent\nid: {}\n\n", position.Text());
}

std::string ProblemEvent(const absl::Status& error) {
  return fmt::format("event: problem\ndata: {}\n\n", ProblemJson(error));
}

}  // namespace selvage::api
