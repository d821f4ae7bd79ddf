#include "fabric/api/route.h"

namespace selvage::api {

const std::vector<ReplyHeader>& ReplyHeaders() {
  static const auto* headers = new std::vector<ReplyHeader>{
      {"ETag", "The row's version."},
      {"Selvage-Expires-At-Ms", "When the row goes, in milliseconds since 1970; without it the row stays."},
  };
  return *headers;
}

const std::vector<Schema>& Schemas() {
  static const auto* schemas = new std::vector<Schema>{
      {"Problem", R"({
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "required": ["type", "title", "status", "detail", "kind", "hint", "retryable"],
        "properties": {
          "type": {"type": "string", "format": "uri"},
          "title": {"type": "string"},
          "status": {"type": "integer"},
          "detail": {"type": "string", "description": "What happened, with the names and numbers of this case."},
          "kind": {"type": "string", "description": "A stable word, as in metrics and logs."},
          "hint": {"type": "string", "description": "What to do about it; may be empty."},
          "retryable": {"type": "boolean", "description": "Whether the same request can succeed later."}}})"},
      {"Value", R"({
        "description": "What a field holds. A number must fit a 64-bit integer or a double.",
        "anyOf": [
          {"type": ["string", "boolean", "null"]},
          {"$ref": "#/components/schemas/Number"},
          {"type": "array", "items": {"$ref": "#/components/schemas/Value"}},
          {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Value"}}]})"},
      {"Number", R"({
        "anyOf": [
          {"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807},
          {"type": "number", "minimum": -1.7976931348623157e308, "maximum": 1.7976931348623157e308}]})"},
      {"Row", R"({
        "type": "object",
        "description": "A row: fields by name, 64 levels deep at most.",
        "additionalProperties": {"$ref": "#/components/schemas/Value"}})"},
      {"Key", R"({
        "type": "string",
        "description": "A row's key: UTF-8, at most 1024 bytes.",
        "minLength": 1,
        "maxLength": 1024})"},
      {"Version", R"({"type": "string", "pattern": "^[0-9a-fA-F]{32}$"})"},
      {"Update", R"({
        "type": "object",
        "description": "Changes of fields. Each field is named once; the others stay as they are.",
        "properties": {
          "set": {"$ref": "#/components/schemas/Row"},
          "unset": {"type": "array", "items": {"type": "string"}, "description": "Fields that go."},
          "increment": {
            "type": "object",
            "description": "What is added to fields; one that is not there counts from 0. Increments of several nodes add up.",
            "additionalProperties": {"$ref": "#/components/schemas/Number"}}},
        "additionalProperties": false})"},
      {"Operation", R"({
        "description": "One operation on one row; at most one condition.",
        "oneOf": [
          {"$ref": "#/components/schemas/PutOperation"},
          {"$ref": "#/components/schemas/UpdateOperation"},
          {"$ref": "#/components/schemas/MergeOperation"},
          {"$ref": "#/components/schemas/DeleteOperation"}]})"},
      {"PutOperation", R"({
        "type": "object",
        "required": ["op", "key", "row"],
        "properties": {
          "op": {"const": "put"},
          "key": {"$ref": "#/components/schemas/Key"},
          "row": {"$ref": "#/components/schemas/Row"},
          "ttl_ms": {"$ref": "#/components/schemas/Ttl"},
          "expires_at_ms": {"$ref": "#/components/schemas/ExpiresAt"},
          "if_absent": {"const": true},
          "if_present": {"const": true},
          "if_version": {"$ref": "#/components/schemas/Version"}},
        "allOf": [
          {"$ref": "#/components/schemas/OneExpiry"},
          {"$ref": "#/components/schemas/OneCondition"}],
        "additionalProperties": false})"},
      {"UpdateOperation", R"({
        "type": "object",
        "required": ["op", "key"],
        "properties": {
          "op": {"const": "update"},
          "key": {"$ref": "#/components/schemas/Key"},
          "set": {"$ref": "#/components/schemas/Row"},
          "unset": {"type": "array", "items": {"type": "string"}},
          "increment": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Number"}},
          "ttl_ms": {"$ref": "#/components/schemas/Ttl"},
          "expires_at_ms": {"$ref": "#/components/schemas/ExpiresAt"},
          "if_absent": {"const": true},
          "if_present": {"const": true},
          "if_version": {"$ref": "#/components/schemas/Version"}},
        "allOf": [
          {"$ref": "#/components/schemas/OneExpiry"},
          {"$ref": "#/components/schemas/OneCondition"}],
        "additionalProperties": false})"},
      {"MergeOperation", R"({
        "type": "object",
        "required": ["op", "key", "patch"],
        "properties": {
          "op": {"const": "merge"},
          "key": {"$ref": "#/components/schemas/Key"},
          "patch": {"$ref": "#/components/schemas/Row"},
          "ttl_ms": {"$ref": "#/components/schemas/Ttl"},
          "expires_at_ms": {"$ref": "#/components/schemas/ExpiresAt"},
          "if_absent": {"const": true},
          "if_present": {"const": true},
          "if_version": {"$ref": "#/components/schemas/Version"}},
        "allOf": [
          {"$ref": "#/components/schemas/OneExpiry"},
          {"$ref": "#/components/schemas/OneCondition"}],
        "additionalProperties": false})"},
      {"DeleteOperation", R"({
        "type": "object",
        "required": ["op", "key"],
        "properties": {
          "op": {"const": "delete"},
          "key": {"$ref": "#/components/schemas/Key"},
          "if_absent": {"const": true},
          "if_present": {"const": true},
          "if_version": {"$ref": "#/components/schemas/Version"}},
        "allOf": [{"$ref": "#/components/schemas/OneCondition"}],
        "additionalProperties": false})"},
      {"Ttl", R"({
        "type": "integer",
        "description": "Milliseconds from now until the row goes.",
        "minimum": 1,
        "maximum": 3155760000000})"},
      {"ExpiresAt", R"({
        "type": ["integer", "null"],
        "description": "When the row goes, in milliseconds since 1970; null: never.",
        "minimum": 0,
        "maximum": 253402300799999})"},
      {"OneExpiry", R"({"not": {"required": ["ttl_ms", "expires_at_ms"]}})"},
      {"OneCondition", R"({
        "not": {
          "anyOf": [
            {"required": ["if_absent", "if_present"]},
            {"required": ["if_absent", "if_version"]},
            {"required": ["if_present", "if_version"]}]}})"},
      {"Batch", R"({
        "type": "object",
        "required": ["operations"],
        "properties": {
          "operations": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/Operation"},
            "minItems": 1,
            "maxItems": 10000}},
        "additionalProperties": false})"},
      {"BatchResult", R"({
        "type": "object",
        "required": ["results"],
        "properties": {
          "results": {
            "type": "array",
            "description": "One for each operation, in their order.",
            "items": {
              "type": "object",
              "required": ["key", "created"],
              "properties": {
                "key": {"type": "string"},
                "version": {"type": "string", "description": "Of the row afterwards; left out when it is not there."},
                "created": {"type": "boolean", "description": "The row was not there before."}}}}}})"},
      {"Filter", R"({
        "type": "object",
        "description": "Which rows are wanted, as MongoDB has it; all of it must hold. docs/tables.md, Queries.",
        "properties": {
          "$and": {"$ref": "#/components/schemas/Filters"},
          "$or": {"$ref": "#/components/schemas/Filters"},
          "$nor": {"$ref": "#/components/schemas/Filters"},
          "$not": {"$ref": "#/components/schemas/Filter"}},
        "patternProperties": {"^([^$][\\s\\S]*)?$": {"$ref": "#/components/schemas/Condition"}},
        "additionalProperties": false})"},
      {"Filters", R"({"type": "array", "items": {"$ref": "#/components/schemas/Filter"}, "minItems": 1})"},
      {"Condition", R"({
        "description": "A value that the field, by its path with dots, is to have; or operators.",
        "anyOf": [
          {"type": ["string", "boolean", "null"]},
          {"$ref": "#/components/schemas/Number"},
          {"type": "array", "items": {"$ref": "#/components/schemas/Value"}},
          {
            "type": "object",
            "patternProperties": {"^([^$][\\s\\S]*)?$": {"$ref": "#/components/schemas/Value"}},
            "additionalProperties": false},
          {"$ref": "#/components/schemas/Operators"}]})"},
      {"Operators", R"({
        "type": "object",
        "minProperties": 1,
        "properties": {
          "$eq": {"$ref": "#/components/schemas/Value"},
          "$ne": {"$ref": "#/components/schemas/Value"},
          "$in": {"type": "array", "items": {"$ref": "#/components/schemas/Value"}},
          "$nin": {"type": "array", "items": {"$ref": "#/components/schemas/Value"}},
          "$lt": {"$ref": "#/components/schemas/Ordered"},
          "$lte": {"$ref": "#/components/schemas/Ordered"},
          "$gt": {"$ref": "#/components/schemas/Ordered"},
          "$gte": {"$ref": "#/components/schemas/Ordered"},
          "$exists": {"type": "boolean"},
          "$not": {"$ref": "#/components/schemas/Operators"}},
        "additionalProperties": false})"},
      {"Ordered", R"({"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/Number"}]})"},
      {"Event", R"({
        "type": "object",
        "description": "A server-sent event.",
        "properties": {
          "event": {"enum": ["put", "delete", "problem"]},
          "data": {"type": "string", "description": "JSON: a KeyedRow, an object with the key, or a Problem."},
          "id": {"type": "string", "description": "The position behind the event."}}})"},
      {"Query", R"({
        "type": "object",
        "properties": {
          "filter": {"$ref": "#/components/schemas/Filter"},
          "from": {"type": "string", "description": "The first key."},
          "to": {"type": "string", "description": "Keys before this one."},
          "prefix": {"type": "string", "description": "Keys that begin with this."},
          "limit": {"type": "integer", "minimum": 1, "maximum": 10000, "description": "Rows of a page; 1000 without it."},
          "fields": {
            "type": "array",
            "description": "Paths of what is wanted of each row; none: all of it.",
            "items": {"$ref": "#/components/schemas/Path"},
            "maxItems": 100},
          "order": {
            "description": "By the field at a path, or by key; without it as the rows are found.",
            "anyOf": [{"$ref": "#/components/schemas/Path"}, {"const": "$key"}]},
          "descending": {"type": "boolean", "description": "The order from its end."},
          "count": {"type": "boolean", "description": "Only how many rows there are, page by page."},
          "explain": {"type": "boolean", "description": "Only how it would be answered."},
          "next": {
            "type": "string",
            "description": "As the page before gave it, with all else as it was.",
            "pattern": "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$"}},
        "dependentRequired": {"descending": ["order"]},
        "additionalProperties": false})"},
      {"Path", R"({
        "type": "string",
        "description": "Of a field: names with dots between them, 16 at most.",
        "pattern": "^(?!\\$)[^.]*(\\.[^.]*){0,15}$",
        "minLength": 1,
        "maxLength": 1024})"},
      {"QueryAnswer", R"({
        "type": "object",
        "properties": {
          "rows": {
            "type": "array",
            "description": "In the order that was asked for, with the fields that are wanted. May be empty though there are more.",
            "items": {"$ref": "#/components/schemas/KeyedRow"}},
          "count": {"type": "integer", "description": "Of the rows that this page found, where only that was asked for."},
          "looked_at": {"type": "integer", "description": "Rows and entries of an index that were read, wanted or not."},
          "next": {"type": "string", "description": "Where the page that follows begins; left out on the last page."},
          "plan": {"type": "object", "description": "How the query would be answered, where only that was asked for."}}})"},
      {"IndexDefinition", R"({
        "type": "object",
        "required": ["path"],
        "properties": {"path": {"$ref": "#/components/schemas/Path"}},
        "additionalProperties": false})"},
      {"Index", R"({
        "type": "object",
        "required": ["name", "path", "ready", "rows_read", "rows_unread"],
        "properties": {
          "name": {"type": "string"},
          "path": {"type": "string"},
          "ready": {"type": "boolean", "description": "It has all rows, and is used."},
          "rows_read": {"type": "integer", "description": "To build it, so far."},
          "rows_unread": {"type": "integer", "description": "Damaged ones among these, which it does not have."}}})"},
      {"Page", R"({
        "type": "object",
        "required": ["rows"],
        "properties": {
          "rows": {
            "type": "array",
            "description": "In the order of the bytes of their keys. May be empty though there are more.",
            "items": {"$ref": "#/components/schemas/KeyedRow"}},
          "next": {"type": "string", "description": "Where the page that follows begins; left out on the last page."}}})"},
      {"KeyedRow", R"({
        "type": "object",
        "required": ["key", "row", "version"],
        "properties": {
          "key": {"type": "string"},
          "row": {"type": "object"},
          "version": {"type": "string"},
          "expires_at_ms": {"type": "integer"}}})"},
      {"Definition", R"({
        "type": "object",
        "properties": {
          "direction": {
            "enum": ["up", "down", "both", "local"],
            "description": "Where rows are written and where they travel. Cannot be changed later."},
          "prefix": {
            "type": "string",
            "description": "Keys of the rows that an edge has. \"${edge}\" stands for its id, once, before a character that no id has. Empty: all.",
            "pattern": "^(?![\\s\\S]*\\$\\{(?!edge\\}[^a-z0-9-]))(?![\\s\\S]*\\$\\{[\\s\\S]*\\$\\{)[\\s\\S]*",
            "maxLength": 256,
            "examples": ["site/${edge}/"]},
          "row_bytes_max": {"type": "integer", "minimum": 1024, "maximum": 1048576, "description": "Of a row's JSON; 1048576 without it."},
          "priority": {"type": "integer", "minimum": 0, "maximum": 9, "description": "On the link, as of streams; 5 without it."},
          "weight": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "On the link, as of streams; 1 without it."}},
        "additionalProperties": false})"},
      {"Table", R"({
        "type": "object",
        "required": ["name", "direction", "prefix", "row_bytes_max", "priority", "weight", "generation"],
        "properties": {
          "name": {"type": "string"},
          "direction": {"type": "string"},
          "prefix": {"type": "string"},
          "row_bytes_max": {"type": "integer"},
          "priority": {"type": "integer"},
          "weight": {"type": "integer"},
          "generation": {"type": "integer", "description": "0: the core does not have the table yet."},
          "rows": {"type": "integer"},
          "tombstones": {"type": "integer", "description": "Of deleted rows."},
          "bytes": {"type": "integer"},
          "position": {"type": "string", "description": "Where a watch begins that is to see what changes from now on."},
          "indexes": {"type": "array", "description": "Of this node.", "items": {"$ref": "#/components/schemas/Index"}}}})"},
      {"Tables", R"({
        "type": "object",
        "required": ["tables"],
        "properties": {"tables": {"type": "array", "items": {"$ref": "#/components/schemas/Table"}}}})"},
      {"StreamName", R"({
        "type": "string",
        "pattern": "^[A-Za-z0-9._-]+$",
        "minLength": 1,
        "maxLength": 249,
        "examples": ["telemetry"]})"},
      {"ViewDefinition", R"({
        "description": "What a view makes of the records of a stream. docs/views.md.",
        "oneOf": [
          {"$ref": "#/components/schemas/NewestView"},
          {"$ref": "#/components/schemas/AggregateView"}]})"},
      {"NewestView", R"({
        "type": "object",
        "description": "The row of each record key is the value of its newest record.",
        "required": ["stream", "newest"],
        "properties": {
          "stream": {"$ref": "#/components/schemas/StreamName"},
          "newest": {"const": true}},
        "additionalProperties": false})"},
      {"AggregateView", R"({
        "type": "object",
        "description": "A row for each group of records, or for each group and window of time.",
        "required": ["stream", "columns"],
        "properties": {
          "stream": {"$ref": "#/components/schemas/StreamName"},
          "group_by": {
            "type": "array",
            "description": "Records with equal values of these are a group; none only with a window.",
            "items": {"$ref": "#/components/schemas/ViewGroupField"},
            "maxItems": 16},
          "columns": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/ViewColumn"},
            "minItems": 1,
            "maxItems": 64},
          "window_ms": {
            "type": "integer",
            "description": "Length of a window.",
            "minimum": 1000,
            "maximum": 315360000000},
          "lateness_ms": {
            "type": "integer",
            "description": "How long a window takes records after its end; 0 without it.",
            "minimum": 0,
            "maximum": 315360000000},
          "keep_ms": {
            "type": "integer",
            "description": "How long windows are kept, at least lateness_ms; 0, which is also meant without it: for ever.",
            "minimum": 0,
            "maximum": 315360000000}},
        "anyOf": [
          {"required": ["window_ms"]},
          {"required": ["group_by"], "properties": {"group_by": {"minItems": 1}}}],
        "dependentRequired": {"lateness_ms": ["window_ms"], "keep_ms": ["window_ms"]},
        "additionalProperties": false})"},
      {"ViewGroupField", R"({
        "type": "object",
        "required": ["path"],
        "properties": {
          "path": {"$ref": "#/components/schemas/ViewPath"},
          "name": {"$ref": "#/components/schemas/ViewFieldName"}},
        "additionalProperties": false})"},
      {"ViewColumn", R"({
        "description": "Of a field, or of $key; only a count does without.",
        "oneOf": [
          {
            "type": "object",
            "required": ["function"],
            "properties": {
              "function": {"const": "count"},
              "path": {"$ref": "#/components/schemas/ViewPath"},
              "name": {"$ref": "#/components/schemas/ViewFieldName"}},
            "additionalProperties": false},
          {
            "type": "object",
            "required": ["function", "path"],
            "properties": {
              "function": {"const": "distinct"},
              "path": {"$ref": "#/components/schemas/ViewPath"},
              "name": {"$ref": "#/components/schemas/ViewFieldName"}},
            "additionalProperties": false},
          {
            "type": "object",
            "required": ["function", "path"],
            "properties": {
              "function": {"enum": ["sum", "mean", "min", "max"]},
              "path": {"$ref": "#/components/schemas/ViewFieldPath"},
              "name": {"$ref": "#/components/schemas/ViewFieldName"}},
            "additionalProperties": false}]})"},
      {"ViewPath", R"({
        "description": "$key for the record's key, or of a field of its value.",
        "anyOf": [{"$ref": "#/components/schemas/ViewFieldPath"}, {"const": "$key"}]})"},
      {"ViewFieldPath", R"({
        "type": "string",
        "description": "Names with dots between them, 16 at most.",
        "pattern": "^(?!\\$)[^.]+(\\.[^.]+){0,15}$",
        "minLength": 1,
        "maxLength": 1024})"},
      {"ViewFieldName", R"({
        "type": "string",
        "description": "Of the field in the view's rows; each has its own. Without it key for $key, the path with _ for ., or the function and such a path.",
        "pattern": "^(?!\\$)[^.]*$",
        "minLength": 1,
        "maxLength": 256})"},
      {"View", R"({
        "type": "object",
        "description": "The definition; asked for by its name, also how far the view is.",
        "required": ["name", "stream"],
        "properties": {
          "name": {"type": "string"},
          "stream": {"type": "string"},
          "newest": {"const": true},
          "group_by": {"type": "array", "items": {"$ref": "#/components/schemas/ViewGroupField"}},
          "columns": {"type": "array", "items": {"$ref": "#/components/schemas/ViewColumn"}},
          "window_ms": {"type": "integer", "description": "Without it there are no windows."},
          "lateness_ms": {"type": "integer"},
          "keep_ms": {"type": "integer"},
          "records": {"type": "integer", "description": "That were looked at, also those that were skipped; of all logs, as the next three."},
          "behind": {"type": "integer", "description": "Records that are synced and not in the view yet, as offsets."},
          "lost": {"type": "integer", "description": "Records of gaps: nobody has them any more."},
          "trimmed": {"type": "integer", "description": "Records that retention took before the view had read them."},
          "rebuilding": {"type": "boolean", "description": "It is built anew, beside the table that serves."},
          "rebuild_behind": {"type": "integer", "description": "Records that the new table has still to read."},
          "error": {"type": "string", "description": "Why it is not fed; without it all is well."},
          "logs": {"type": "array", "items": {"$ref": "#/components/schemas/ViewLog"}},
          "skipped": {
            "type": "object",
            "description": "How many records, or values of columns, the view did without, by reason.",
            "additionalProperties": {"type": "integer"}},
          "skipped_records": {
            "type": "array",
            "description": "Some of each reason, 100 at most, the newest last.",
            "items": {"$ref": "#/components/schemas/SkippedRecord"}}}})"},
      {"ViewLog", R"({
        "type": "object",
        "required": ["partition", "superseded", "next", "end", "behind", "records", "lost", "trimmed"],
        "properties": {
          "edge": {"type": "string", "description": "Whose log it is; left out for this node's own."},
          "slot": {"type": "integer", "description": "Which of the edge's stores, one after the other, made it."},
          "partition": {"type": "integer"},
          "superseded": {"type": "boolean", "description": "Another log took its place."},
          "next": {"type": "integer", "description": "The first offset that is not in the view yet."},
          "end": {"type": "integer"},
          "behind": {"type": "integer"},
          "records": {"type": "integer"},
          "lost": {"type": "integer"},
          "trimmed": {"type": "integer"},
          "diverged_at": {"type": "integer", "description": "The log lost its end, and is another from here on."},
          "watermark_ms": {"type": "integer", "description": "The greatest time of its records, where there are windows."}}})"},
      {"SkippedRecord", R"({
        "type": "object",
        "required": ["partition", "offset", "timestamp_ms", "reason", "what"],
        "properties": {
          "edge": {"type": "string", "description": "Left out for this node's own."},
          "partition": {"type": "integer"},
          "offset": {"type": "integer"},
          "timestamp_ms": {"type": "integer"},
          "reason": {"type": "string"},
          "what": {"type": "string", "description": "A field, or what is wrong; may be empty."}}})"},
      {"Views", R"({
        "type": "object",
        "required": ["views"],
        "properties": {"views": {"type": "array", "items": {"$ref": "#/components/schemas/View"}}}})"},
      {"OpenApi", R"({"type": "object"})"},
  };
  return *schemas;
}

}  // namespace selvage::api
