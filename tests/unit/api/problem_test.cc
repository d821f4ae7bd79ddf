#include "fabric/api/problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "fabric/base/error.h"
#include "tests/unit/api/begin.h"

namespace selvage::api {
namespace {

TEST(ApiProblemTest, AnErrorIsProblemDetails) {
  const Reply reply = Refuse(MakeError(absl::StatusCode::kFailedPrecondition, "version_mismatch",
                                       "row \"a\": the row has another version", "read the row again"));
  EXPECT_EQ(reply.status, 412);
  EXPECT_EQ(HeaderOf(reply, "Content-Type"), "application/problem+json");
  EXPECT_EQ(boost::json::parse(reply.body), boost::json::parse(R"({
      "type": "urn:selvage:problem:version_mismatch", "title": "Version mismatch", "status": 412,
      "detail": "row \"a\": the row has another version", "kind": "version_mismatch",
      "hint": "read the row again", "retryable": false})"));
  EXPECT_EQ(HeaderOf(reply, "Retry-After"), "");
}

TEST(ApiProblemTest, EachKindHasItsStatus) {
  const std::vector<std::tuple<absl::StatusCode, std::string, int>> expected = {
      {absl::StatusCode::kInvalidArgument, "invalid_json", 400},
      {absl::StatusCode::kInvalidArgument, "invalid_key", 400},
      {absl::StatusCode::kInvalidArgument, "row_too_large", 413},
      {absl::StatusCode::kInvalidArgument, "batch_too_large", 413},
      {absl::StatusCode::kInvalidArgument, "unsupported_media_type", 415},
      {absl::StatusCode::kInvalidArgument, "not_a_number", 409},
      {absl::StatusCode::kNotFound, "unknown_table", 404},
      {absl::StatusCode::kNotFound, "row_not_found", 404},
      {absl::StatusCode::kAlreadyExists, "table_exists", 409},
      {absl::StatusCode::kFailedPrecondition, "row_exists", 412},
      {absl::StatusCode::kFailedPrecondition, "row_absent", 412},
      {absl::StatusCode::kPermissionDenied, "read_only_table", 403},
      {absl::StatusCode::kResourceExhausted, "disk_full", 507},
      {absl::StatusCode::kResourceExhausted, "overloaded", 503},
      {absl::StatusCode::kUnavailable, "store_failed", 503},
      {absl::StatusCode::kOutOfRange, "position_expired", 410},
      {absl::StatusCode::kDataLoss, "corrupt_row", 500},
      {absl::StatusCode::kInternal, "io_error", 500},
  };
  for (const auto& [code, kind, status] : expected) {
    EXPECT_EQ(HttpStatusOf(MakeError(code, kind, "")), status) << kind;
  }
  EXPECT_EQ(HttpStatusOf(absl::InternalError("of another origin")), 500);
}

TEST(ApiProblemTest, OverloadSaysWhenToComeAgain) {
  const Reply reply = Refuse(
      MakeError(absl::StatusCode::kResourceExhausted, "overloaded", "too much waits", "", Retry::kYes));
  EXPECT_EQ(HeaderOf(reply, "Retry-After"), "1");
  EXPECT_EQ(boost::json::parse(reply.body).at("retryable"), true);
}

TEST(ApiProblemTest, WhatAClientSentMayBeInIt) {
  const std::string json =
      ProblemJson(absl::InvalidArgumentError(std::string("\xff\"\n") + std::string(100'000, 'x')));
  EXPECT_LT(json.size(), 10'000u);
  EXPECT_TRUE(boost::json::parse(json).at("detail").as_string().starts_with("\xEF\xBF\xBD\"\n"));
}

}  // namespace
}  // namespace selvage::api
