#include "fabric/api/openapi.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "fabric/api/problem.h"
#include "fabric/api/route.h"

namespace selvage::api {
namespace {

namespace json = boost::json;

json::string_view JsonView(std::string_view text) {
  return {text.data(), text.size()};
}

json::object SchemaRef(std::string_view name) {
  return {{"$ref", fmt::format("#/components/schemas/{}", name)}};
}

/// The member `content` of a body or an answer.
json::object ContentOf(const std::vector<Content>& forms) {
  json::object content;
  for (const Content& form : forms) {
    json::object schema{{"type", "string"}};
    if (!form.schema.empty()) schema = SchemaRef(form.schema);
    content[JsonView(form.media_type)] = json::object{{"schema", std::move(schema)}};
  }
  return content;
}

json::object SchemaOf(const Parameter& parameter) {
  if (parameter.range) {
    return {{"type", "integer"}, {"minimum", parameter.range->min}, {"maximum", parameter.range->max}};
  }
  json::object schema{{"type", "string"}};
  if (!parameter.pattern.empty()) schema["pattern"] = JsonView(parameter.pattern);
  if (!parameter.example.empty()) schema["examples"] = json::array{JsonView(parameter.example)};
  if (parameter.length_min > 0) schema["minLength"] = parameter.length_min;
  if (parameter.length_max) schema["maxLength"] = *parameter.length_max;
  return schema;
}

json::object Describe(const Parameter& parameter) {
  const bool in_path = parameter.place == Parameter::Place::kPath;
  const char* place = in_path ? "path" : parameter.place == Parameter::Place::kQuery ? "query" : "header";
  return {{"name", JsonView(parameter.name)},
          {"in", place},
          {"required", in_path},
          {"description", JsonView(parameter.description)},
          {"schema", SchemaOf(parameter)}};
}

json::object Describe(const Answer& answer) {
  json::object described{{"description", JsonView(answer.description)}};
  if (!answer.content.media_type.empty()) described["content"] = ContentOf({answer.content});
  json::object headers;
  for (const std::string_view name : answer.headers) {
    headers[JsonView(name)] = {{"$ref", fmt::format("#/components/headers/{}", name)}};
  }
  if (!headers.empty()) described["headers"] = std::move(headers);
  return described;
}

json::object Describe(const Route& route) {
  json::object operation{{"operationId", JsonView(route.id)}, {"summary", JsonView(route.summary)}};
  if (!route.description.empty()) operation["description"] = JsonView(route.description);
  json::array parameters;
  for (const Parameter& parameter : route.parameters) parameters.push_back(Describe(parameter));
  if (!parameters.empty()) operation["parameters"] = std::move(parameters);
  if (!route.bodies.empty()) {
    operation["requestBody"] = {{"required", true}, {"content", ContentOf(route.bodies)}};
  }
  json::object responses;
  for (const Answer& answer : route.answers) responses[fmt::to_string(answer.status)] = Describe(answer);
  for (const int status : route.refusals) {
    responses[fmt::to_string(status)] = {{"$ref", "#/components/responses/Problem"}};
  }
  operation["responses"] = std::move(responses);
  return operation;
}

json::object Components() {
  json::object schemas;
  for (const Schema& schema : Schemas()) schemas[JsonView(schema.name)] = json::parse(JsonView(schema.json));
  json::object headers;
  for (const ReplyHeader& header : ReplyHeaders()) {
    headers[JsonView(header.name)] = {{"description", JsonView(header.description)},
                                      {"schema", {{"type", "string"}}}};
  }
  const Answer problem{.description = "The request is refused; nothing changed.",
                       .content = {kProblemType, "Problem"}};
  return {{"schemas", std::move(schemas)},
          {"headers", std::move(headers)},
          {"responses", {{"Problem", Describe(problem)}}}};
}

}  // namespace

std::string OpenApiJson() {
  json::object paths;
  for (const Route& route : Routes()) {
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    json::value& path = paths[JsonView(route.path)];
    if (!path.is_object()) path = json::object();
    path.as_object()[method] = Describe(route);
  }
  const json::object document{{"openapi", "3.1.0"},
                              {"info",
                               {{"title", "Selvage tables and views"},
                                {"version", "1"},
                                {"description",
                                 "Rows of tables, and views, which feed tables from streams, over HTTP and "
                                 "JSON. What is served as GET is served as HEAD, too, "
                                 "except a watch. Errors are problem details (RFC 9457)."}}},
                              {"paths", std::move(paths)},
                              {"components", Components()}};
  return json::serialize(document);
}

}  // namespace selvage::api
