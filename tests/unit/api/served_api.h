#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "fabric/api/call.h"
#include "tests/support/served_tables.h"
#include "tests/unit/api/http_client.h"

namespace selvage::api {

using Response = HttpClient::Response;
using Headers = HttpClient::Headers;

/// Asks the API of a node over a socket. Each answer must be one that the description of its route knows.
class ServedApiTest : public ::testing::Test {
 protected:
  void Serve(std::unique_ptr<test::ServedTables> served) {
    client_.reset();
    served_ = std::move(served);
    client_.emplace(served_->port());
  }

  Response Ask(const std::string& method, const std::string& target, const Headers& headers = {},
               const std::string& body = "") {
    Response response = client_->Ask(method, target, headers, body);
    EXPECT_TRUE(IsDescribed(method, target, headers, static_cast<int>(response.result_int())))
        << method << " " << target << ": " << response.result_int();
    return response;
  }
  Response Put(const std::string& target, const std::string& body, Headers headers = {}) {
    headers["Content-Type"] = "application/json";
    return Ask("PUT", target, headers, body);
  }
  Response Post(const std::string& target, const std::string& body) {
    return Ask("POST", target, {{"Content-Type", "application/json"}}, body);
  }
  /// "412 version_mismatch"; "204" when it is no problem.
  static std::string Verdict(const Response& response) {
    std::string verdict = std::to_string(response.result_int());
    if (response[boost::beast::http::field::content_type] != "application/problem+json") return verdict;
    const boost::json::value problem = boost::json::parse(response.body());
    EXPECT_EQ(problem.at("status"), response.result_int());
    return verdict + " " + std::string(problem.at("kind").as_string());
  }

  std::unique_ptr<test::ServedTables> served_;
  std::optional<HttpClient> client_;

 private:
  static bool IsDescribed(const std::string& method, const std::string& target, const Headers& headers,
                          int status) {
    RequestHead head{method, target};
    for (const auto& [name, value] : headers) head.headers[absl::AsciiStrToLower(name)] = value;
    const auto begun = BeginCall(head);
    const auto* call = std::get_if<Call>(&begun);
    if (call == nullptr) return true;
    const Route& route = *call->route;
    return std::any_of(route.answers.begin(), route.answers.end(),
                       [&](const Answer& answer) { return answer.status == status; }) ||
           std::count(route.refusals.begin(), route.refusals.end(), status) > 0;
  }
};

}  // namespace selvage::api
