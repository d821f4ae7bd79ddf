#include "fabric/api/openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "fabric/api/route.h"

namespace selvage::api {
namespace {

namespace json = boost::json;

std::string_view RefIn(const json::object& object) {
  const json::value* ref = object.if_contains("$ref");
  return ref == nullptr ? std::string_view() : std::string_view(ref->as_string());
}

void CollectRefs(const json::value& value, std::set<std::string>& refs) {
  if (value.is_object()) {
    if (!RefIn(value.as_object()).empty()) refs.emplace(RefIn(value.as_object()));
    for (const auto& member : value.as_object()) CollectRefs(member.value(), refs);
  }
  if (value.is_array()) {
    for (const json::value& element : value.as_array()) CollectRefs(element, refs);
  }
}

TEST(ApiOpenApiTest, EachRouteIsDescribed) {
  const json::value document = json::parse(OpenApiJson());
  EXPECT_EQ(document.at("openapi"), "3.1.0");
  size_t described = 0;
  for (const auto& path : document.at("paths").as_object()) described += path.value().as_object().size();
  EXPECT_EQ(described, Routes().size());
  const json::value& put = document.at_pointer("/paths/~1v1~1tables~1{table}~1rows~1{key}/put");
  EXPECT_EQ(put.at("operationId"), "putRow");
  EXPECT_TRUE(put.at_pointer("/requestBody/content").as_object().contains("application/json"));
  EXPECT_TRUE(put.at("responses").as_object().contains("412"));
}

TEST(ApiOpenApiTest, WhatItRefersToIsThere) {
  const json::value document = json::parse(OpenApiJson());
  std::set<std::string> refs;
  CollectRefs(document, refs);
  EXPECT_FALSE(refs.empty());
  for (const std::string& ref : refs) {
    boost::system::error_code missing;
    EXPECT_NE(document.find_pointer(ref.substr(1), missing), nullptr) << ref;
  }
  // Nothing is described that nothing refers to.
  for (const Schema& schema : Schemas()) {
    EXPECT_TRUE(refs.contains("#/components/schemas/" + std::string(schema.name))) << schema.name;
  }
  for (const ReplyHeader& header : ReplyHeaders()) {
    EXPECT_TRUE(refs.contains("#/components/headers/" + std::string(header.name))) << header.name;
  }
}

TEST(ApiOpenApiTest, OperationsAndParametersHaveNamesOfTheirOwn) {
  std::set<std::string_view> ids;
  for (const Route& route : Routes()) {
    EXPECT_TRUE(ids.insert(route.id).second) << route.id;
    std::set<std::string_view> names;
    for (const Parameter& parameter : route.parameters) {
      EXPECT_TRUE(names.insert(parameter.name).second) << route.id << " " << parameter.name;
      if (parameter.place != Parameter::Place::kPath) continue;
      EXPECT_NE(route.path.find("{" + std::string(parameter.name) + "}"), std::string_view::npos) << route.id;
    }
  }
}

}  // namespace
}  // namespace selvage::api
