#include <string>

#include "fabric/api/conditions.h"
#include "fabric/api/problem.h"
#include "fabric/api/route.h"
#include "fabric/base/names.h"
#include "fabric/table/index_definition.h"
#include "fabric/table/table_types.h"
#include "fabric/view/view_definition.h"

namespace selvage::api {
namespace {

using Place = Parameter::Place;

/// The definition of a table, an index or a view.
constexpr size_t kDefinitionBytesMax = 64u << 10;
/// A filter has its own limit.
constexpr size_t kQueryBytesMax = 256u << 10;
/// Operations of a row, and of a batch, with what JSON adds to keys and values.
constexpr size_t kRowBodyMax = table::kBatchBytesMax;
constexpr size_t kBatchBodyMax = table::kBatchBytesMax;

/// Base64 for URLs without padding, in its one form.
constexpr std::string_view kContinuationPattern =
    "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$";
constexpr std::string_view kTagExample = "\"6f1ed002ab5595859014ebf0951522d9\"";
constexpr std::string_view kPositionExample = "6f1ed002ab5595859014ebf0951522d9-17";
constexpr std::string_view kTagsPattern = R"re(^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$)re";

Parameter Table() {
  return {.name = "table",
          .place = Place::kPath,
          .description = "The table's name.",
          .pattern = "^[A-Za-z0-9._-]+$",
          .example = "pumps",
          .length_min = 1,
          .length_max = kMaxStreamName};
}
Parameter Index() {
  return {.name = "index",
          .place = Place::kPath,
          .description = "The index's name.",
          .pattern = "^[A-Za-z0-9._-]+$",
          .example = "by-bar",
          .length_min = 1,
          .length_max = table::kIndexNameMax};
}
Parameter View() {
  return {.name = "view",
          .place = Place::kPath,
          .description = "The view's name, and its table's.",
          .pattern = "^[A-Za-z0-9._-]+$",
          .example = "by-pump",
          .length_min = 1,
          .length_max = view::kViewNameMax};
}
Parameter Key() {
  return {.name = "key",
          .place = Place::kPath,
          .description = "The row's key, percent-encoded; a / in it is %2F.",
          .length_min = 1,
          .length_max = table::kRowKeyMax,
          .error_kind = "invalid_key"};
}
Parameter IfMatch() {
  return {.name = kIfMatch,
          .place = Place::kHeader,
          .description = "Only if the row is there in one of these versions; *: in any.",
          .pattern = kTagsPattern,
          .example = kTagExample};
}
Parameter IfNoneMatch() {
  return {.name = kIfNoneMatch,
          .place = Place::kHeader,
          .description = "Only if the row is there in none of these versions; *: is not there.",
          .pattern = kTagsPattern,
          .example = kTagExample};
}
Parameter Ttl() {
  return {.name = "ttl_ms",
          .description = "Milliseconds from now until the row goes. Not together with expires_at_ms.",
          .range = {{1, kTtlMaxMs}}};
}
Parameter ExpiresAt() {
  return {.name = "expires_at_ms",
          .description = "When the row goes, in milliseconds since 1970, or \"never\".",
          .pattern = "^(never|[0-9]{1,14})$",
          .example = "never"};
}
Parameter ReplaceDamaged() {
  return {.name = "replace_damaged",
          .description = "Also in place of a row that is damaged here (corrupt_row). Not with a condition.",
          .pattern = "^(true|false)$",
          .example = "true"};
}
Parameter Prefix() {
  return {.name = "prefix", .description = "Only rows whose keys begin with this."};
}

std::vector<Parameter> OfRow(std::vector<Parameter> more) {
  std::vector<Parameter> all{Table(), Key(), IfMatch(), IfNoneMatch()};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

const std::vector<Answer>& Written() {
  static const auto* answers = new std::vector<Answer>{
      {.status = 201, .description = "The row was not there before.", .headers = {"ETag"}},
      {.status = 204, .description = "The row has changed.", .headers = {"ETag"}},
  };
  return *answers;
}

std::vector<Route> TableRoutes() {
  return {
      {.action = Action::kListTables,
       .method = "GET",
       .path = "/v1/tables",
       .id = "listTables",
       .summary = "All tables.",
       .answers = {{.description = "The tables.", .content = {kJsonType, "Tables"}}},
       .refusals = {400, 500, 503}},
      {.action = Action::kGetTable,
       .method = "GET",
       .path = "/v1/tables/{table}",
       .id = "getTable",
       .summary = "A table: its definition and what it holds.",
       .parameters = {Table()},
       .answers = {{.description = "The table.", .content = {kJsonType, "Table"}}},
       .refusals = {400, 404, 500, 503}},
      {.action = Action::kPutTable,
       .method = "PUT",
       .path = "/v1/tables/{table}",
       .id = "putTable",
       .summary = "Creates a table, or replaces its settings.",
       .parameters = {Table()},
       .bodies = {{kJsonType, "Definition"}},
       .body_max = kDefinitionBytesMax,
       .answers = {{.description = "The table has these settings.", .content = {kJsonType, "Table"}},
                   {.status = 201, .description = "The table was made.", .content = {kJsonType, "Table"}}},
       .refusals = {400, 403, 404, 408, 409, 413, 415, 500, 503, 507}},
      {.action = Action::kDropTable,
       .method = "DELETE",
       .path = "/v1/tables/{table}",
       .id = "dropTable",
       .summary = "Removes a table and all its rows.",
       .parameters = {Table()},
       .answers = {{.status = 204, .description = "The table is not there any more."}},
       .refusals = {400, 403, 404, 409, 500, 503, 507}},
  };
}

std::vector<Route> IndexRoutes() {
  return {
      {.action = Action::kGetIndex,
       .method = "GET",
       .path = "/v1/tables/{table}/indexes/{index}",
       .id = "getIndex",
       .summary = "An index of a table, and whether it is ready.",
       .parameters = {Table(), Index()},
       .answers = {{.description = "The index.", .content = {kJsonType, "Index"}}},
       .refusals = {400, 404, 500, 503}},
      {.action = Action::kPutIndex,
       .method = "PUT",
       .path = "/v1/tables/{table}/indexes/{index}",
       .id = "putIndex",
       .summary = "Makes an index on a field.",
       .description = "It is this node's alone. Queries use it once it is ready.",
       .parameters = {Table(), Index()},
       .bodies = {{kJsonType, "IndexDefinition"}},
       .body_max = kDefinitionBytesMax,
       .answers = {{.description = "The index is there already.", .content = {kJsonType, "Index"}},
                   {.status = 201, .description = "The index was made.", .content = {kJsonType, "Index"}}},
       .refusals = {400, 404, 408, 409, 413, 415, 500, 503, 507}},
      {.action = Action::kDropIndex,
       .method = "DELETE",
       .path = "/v1/tables/{table}/indexes/{index}",
       .id = "dropIndex",
       .summary = "Removes an index; the rows stay.",
       .parameters = {Table(), Index()},
       .answers = {{.status = 204, .description = "The index is not there any more."}},
       .refusals = {400, 404, 500, 503, 507}},
  };
}

std::vector<Route> RowRoutes() {
  return {
      {.action = Action::kScan,
       .method = "GET",
       .path = "/v1/tables/{table}/rows",
       .id = "scanRows",
       .summary = "Rows in the order of their keys, a page at a time.",
       .parameters = {Table(),
                      {.name = "from", .description = "The first key."},
                      {.name = "to", .description = "Keys before this one."},
                      Prefix(),
                      {.name = "limit",
                       .description = "Rows of a page; 1000 without it.",
                       .range = {{1, kPageRowsMax}}},
                      {.name = "next",
                       .description = "As the page before gave it, with all else as it was.",
                       .pattern = kContinuationPattern,
                       .example = "cHVtcC0x",
                       .error_kind = "invalid_continuation"}},
       .answers = {{.description = "A page.", .content = {kJsonType, "Page"}}},
       .refusals = {400, 404, 500, 503},
       .long_answer = true},
      {.action = Action::kGetRow,
       .method = "GET",
       .path = "/v1/tables/{table}/rows/{key}",
       .id = "getRow",
       .summary = "A row.",
       .parameters = OfRow({}),
       .answers = {{.description = "The row.",
                    .content = {kJsonType, "Row"},
                    .headers = {"ETag", "Selvage-Expires-At-Ms"}},
                   {.status = 304,
                    .description = "The row is as If-None-Match has it.",
                    .headers = {"ETag"}}},
       .refusals = {400, 404, 412, 500, 503},
       .long_answer = true},
      {.action = Action::kPutRow,
       .method = "PUT",
       .path = "/v1/tables/{table}/rows/{key}",
       .id = "putRow",
       .summary = "Replaces a row, or makes it.",
       .parameters = OfRow({Ttl(), ExpiresAt(), ReplaceDamaged()}),
       .bodies = {{kJsonType, "Row"}},
       .body_max = kRowBodyMax,
       .answers = Written(),
       .refusals = {400, 403, 404, 408, 409, 412, 413, 415, 500, 503, 507}},
      {.action = Action::kPatchRow,
       .method = "PATCH",
       .path = "/v1/tables/{table}/rows/{key}",
       .id = "patchRow",
       .summary = "Changes fields of a row, or makes it.",
       .description =
           "By content type: a merge patch (RFC 7396), which is an object, or an update that sets, "
           "unsets and increments fields. Without ttl_ms and expires_at_ms the row goes when it "
           "went before.",
       .parameters = OfRow({Ttl(), ExpiresAt()}),
       .bodies = {{kMergePatchType, "Row"}, {kUpdateType, "Update"}},
       .body_max = kRowBodyMax,
       .answers = Written(),
       .refusals = {400, 403, 404, 408, 409, 412, 413, 415, 500, 503, 507}},
      {.action = Action::kDeleteRow,
       .method = "DELETE",
       .path = "/v1/tables/{table}/rows/{key}",
       .id = "deleteRow",
       .summary = "Deletes a row; one that is not there may be deleted, too.",
       .parameters = OfRow({ReplaceDamaged()}),
       .answers = {{.status = 204, .description = "The row is not there any more."}},
       .refusals = {400, 403, 404, 412, 500, 503, 507}},
  };
}

std::vector<Route> ViewRoutes() {
  return {
      {.action = Action::kListViews,
       .method = "GET",
       .path = "/v1/views",
       .id = "listViews",
       .summary = "All views.",
       .answers = {{.description = "The views.", .content = {kJsonType, "Views"}}},
       .refusals = {400, 500, 503}},
      {.action = Action::kGetView,
       .method = "GET",
       .path = "/v1/views/{view}",
       .id = "getView",
       .summary = "A view: its definition, how far it has read each log, and what it could not use.",
       .parameters = {View()},
       .answers = {{.description = "The view.", .content = {kJsonType, "View"}}},
       .refusals = {400, 404, 500, 503}},
      {.action = Action::kPutView,
       .method = "PUT",
       .path = "/v1/views/{view}",
       .id = "putView",
       .summary = "Makes a view, which feeds a table of its name from a stream.",
       .description = "It is this node's alone, and reads the stream from its start. A view is not changed: "
                      "another definition needs another name, or the view dropped first.",
       .parameters = {View()},
       .bodies = {{kJsonType, "ViewDefinition"}},
       .body_max = kDefinitionBytesMax,
       .answers = {{.description = "The view is there already.", .content = {kJsonType, "View"}},
                   {.status = 201, .description = "The view was made.", .content = {kJsonType, "View"}}},
       .refusals = {400, 404, 408, 409, 413, 415, 500, 503, 507}},
      {.action = Action::kDropView,
       .method = "DELETE",
       .path = "/v1/views/{view}",
       .id = "dropView",
       .summary = "Removes a view and its table.",
       .parameters = {View()},
       .answers = {{.status = 204, .description = "The view is not there any more."}},
       .refusals = {400, 404, 500, 503, 507}},
      {.action = Action::kRebuildView,
       .method = "POST",
       .path = "/v1/views/{view}/rebuild",
       .id = "rebuildView",
       .summary = "Builds a view anew from its stream.",
       .description = "Beside the table that serves, which it replaces once it has come to the ends of the "
                      "logs. The view says how far it is.",
       .parameters = {View()},
       .answers = {{.status = 202, .description = "The building has begun."}},
       .refusals = {400, 404, 409, 500, 503, 507}},
  };
}

std::vector<Route> OtherRoutes() {
  return {
      {.action = Action::kQuery,
       .method = "POST",
       .path = "/v1/tables/{table}/query",
       .id = "queryRows",
       .summary = "Rows that a filter matches, a page at a time.",
       .description =
           "Without an index that serves the query every row of the range is looked at. A page ends "
           "also after so many rows that do not match; it may be empty and have a next one.",
       .parameters = {Table()},
       .bodies = {{kJsonType, "Query"}},
       .body_max = kQueryBytesMax,
       .answers = {{.description = "A page; a number; or a plan.", .content = {kJsonType, "QueryAnswer"}}},
       .refusals = {400, 404, 408, 409, 413, 415, 500, 503},
       .long_answer = true},
      {.action = Action::kBatch,
       .method = "POST",
       .path = "/v1/tables/{table}/batch",
       .id = "writeBatch",
       .summary = "Does all operations, in their order, or none.",
       .parameters = {Table()},
       .bodies = {{kJsonType, "Batch"}},
       .body_max = kBatchBodyMax,
       .answers = {{.description = "All are done.", .content = {kJsonType, "BatchResult"}}},
       .refusals = {400, 403, 404, 408, 409, 412, 413, 415, 500, 503, 507}},
      {.action = Action::kWatch,
       .method = "GET",
       .path = "/v1/tables/{table}/watch",
       .id = "watchRows",
       .summary = "Changes as server-sent events, until the client ends it.",
       .description =
           "Each row that changed comes once, as it is now: an event \"put\" with a row, or "
           "\"delete\" with its key. An event \"problem\" ends the watch. The id of an event is the "
           "position behind it.",
       .parameters = {Table(),
                      Prefix(),
                      {.name = "from",
                       .description = "A position; \"start\": all rows first; \"now\", which is also meant "
                                      "without it: what changes from now on.",
                       .pattern = "^(start|now|[0-9a-f]{32}-[0-9]{1,19})$",
                       .example = "start",
                       .error_kind = "invalid_position"},
                      {.name = "Last-Event-ID",
                       .place = Place::kHeader,
                       .description = "The position to go on from, instead of \"from\".",
                       .pattern = "^[0-9a-f]{32}-[0-9]{1,19}$",
                       .example = kPositionExample,
                       .error_kind = "invalid_position"}},
       .answers = {{.description = "Events.", .content = {kEventStreamType, "Event"}}},
       .refusals = {400, 404, 410, 500, 503}},
      {.action = Action::kOpenApi,
       .method = "GET",
       .path = "/v1/openapi.json",
       .id = "getOpenApi",
       .summary = "This description.",
       .answers = {{.description = "An OpenAPI 3.1 document.", .content = {kJsonType, "OpenApi"}}},
       .refusals = {400, 500, 503}},
  };
}

}  // namespace

const std::vector<Route>& Routes() {
  static const auto* routes = [] {
    auto* all = new std::vector<Route>();
    for (auto part : {TableRoutes(), IndexRoutes(), RowRoutes(), ViewRoutes(), OtherRoutes()}) {
      all->insert(all->end(), part.begin(), part.end());
    }
    return all;
  }();
  return *routes;
}

}  // namespace selvage::api
