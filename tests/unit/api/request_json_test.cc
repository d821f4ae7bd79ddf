#include "fabric/api/request_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/api/problem.h"
#include "tests/unit/api/begin.h"

namespace selvage::api {
namespace {

using table::Condition;
using table::RowOperation;
using table::Update;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr int64_t kNow = 1'700'000'000'000;
const std::string kRow = "/v1/tables/t/rows/a";

absl::StatusOr<RowOperation> Operation(std::string method, std::string target, std::string type,
                                       std::string body) {
  Call call = Taken(std::move(method), std::move(target), {{"content-type", std::move(type)}});
  call.body = std::move(body);
  return ReadRowOperation(call, kNow);
}
RowOperation Good(absl::StatusOr<RowOperation> operation) {
  EXPECT_TRUE(operation.ok()) << Describe(operation.status());
  return operation.ok() ? *std::move(operation) : RowOperation{{}, RowOperation::Delete{}};
}
std::string Verdict(const absl::Status& status) {
  return Verdict(Refuse(status));
}

TEST(ApiRequestTest, APutReplacesTheRow) {
  const RowOperation operation = Good(Operation("PUT", kRow, "application/json", R"({"b": 1, "a": "x"})"));
  EXPECT_EQ(operation.key, "a");
  const auto& put = std::get<RowOperation::Put>(operation.what);
  EXPECT_EQ(put.fields, *table::ParseFields(R"({"a":"x","b":1})"));
  EXPECT_EQ(put.expires_at_ms, std::nullopt);
}

TEST(ApiRequestTest, ATimeToLiveIsAnExpiry) {
  const auto expiry = [](const std::string& query) {
    const RowOperation operation = Good(Operation("PUT", kRow + query, "application/json", "{}"));
    return std::get<RowOperation::Put>(operation.what).expires_at_ms;
  };
  EXPECT_EQ(expiry("?ttl_ms=1500"), kNow + 1500);
  EXPECT_EQ(expiry("?expires_at_ms=99"), 99);
  EXPECT_EQ(expiry("?expires_at_ms=never"), std::nullopt);
  for (const std::string query : {"?ttl_ms=1&expires_at_ms=2", "?expires_at_ms=soon", "?expires_at_ms=-1",
                                  "?expires_at_ms=", "?expires_at_ms=253402300800000"}) {
    EXPECT_EQ(Verdict(Operation("PUT", kRow + query, "application/json", "{}").status()),
              "400 invalid_parameter")
        << query;
  }
}

TEST(ApiRequestTest, ADamagedRowIsReplacedOnlyWhenThatIsSaid) {
  EXPECT_FALSE(Good(Operation("DELETE", kRow, "", "")).replace_damaged);
  EXPECT_FALSE(Good(Operation("DELETE", kRow + "?replace_damaged=false", "", "")).replace_damaged);
  EXPECT_TRUE(Good(Operation("DELETE", kRow + "?replace_damaged=true", "", "")).replace_damaged);
  const std::string asked = kRow + "?replace_damaged=true";
  EXPECT_TRUE(Good(Operation("PUT", asked, "application/json", "{}")).replace_damaged);
  EXPECT_EQ(Verdict(Operation("DELETE", kRow + "?replace_damaged=1", "", "").status()),
            "400 invalid_parameter");
}

TEST(ApiRequestTest, APatchIsReadByItsContentType) {
  const RowOperation merge =
      Good(Operation("PATCH", kRow, "application/merge-patch+json", R"({"a": null, "b": {"c": 1}})"));
  EXPECT_EQ(std::get<RowOperation::MergePatch>(merge.what).json, R"({"a": null, "b": {"c": 1}})");
  EXPECT_FALSE(std::get<RowOperation::MergePatch>(merge.what).expiry);

  const std::string body = R"({"set": {"a": 1}, "unset": ["b", "\"c"], "increment": {"n": 2, "m": 0.5}})";
  const RowOperation operation =
      Good(Operation("PATCH", kRow + "?expires_at_ms=never", std::string(kUpdateType), body));
  const auto& update = std::get<Update>(operation.what);
  EXPECT_EQ(update.set, *table::ParseFields(R"({"a":1})"));
  EXPECT_THAT(update.unset, UnorderedElementsAre("b", "\"c"));
  EXPECT_EQ(update.increment.at("n"), table::JsonNumber(int64_t{2}));
  EXPECT_EQ(update.increment.at("m"), table::JsonNumber(0.5));
  ASSERT_TRUE(update.expiry);
  EXPECT_EQ(update.expiry->at_ms, std::nullopt);
}

TEST(ApiRequestTest, RowsThatAreNoneAreRefused) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"", "400 invalid_json"},
      {"{", "400 invalid_json"},
      {"[]", "400 not_an_object"},
      {"null", "400 not_an_object"},
      {R"({"a":1,"a":2})", "400 duplicate_field"},
      {R"({"a":1e999})", "400 number_out_of_range"},
      {"{\"a\":\"\xff\"}", "400 invalid_utf8"},
      {R"({"a":)" + std::string(100, '[') + std::string(100, ']') + "}", "400 too_deep"},
  };
  for (const auto& [body, verdict] : bad) {
    EXPECT_EQ(Verdict(Operation("PUT", kRow, "application/json", body).status()), verdict) << body;
    EXPECT_EQ(Verdict(Operation("PATCH", kRow, "application/merge-patch+json", body).status()), verdict)
        << body;
    EXPECT_EQ(Verdict(Operation("PATCH", kRow, std::string(kUpdateType), body).status()), verdict) << body;
  }
}

TEST(ApiRequestTest, UpdatesThatAreNoneAreRefused) {
  for (const std::string body : {R"({"sett": {}})", R"({"set": []})", R"({"unset": {}})", R"({"unset": [1]})",
                                 R"({"increment": {"n": "1"}})", R"({"increment": null})"}) {
    EXPECT_EQ(Verdict(Operation("PATCH", kRow, std::string(kUpdateType), body).status()),
              "400 invalid_request")
        << body;
  }
}

TEST(ApiRequestTest, ABatchIsAListOfOperations) {
  const auto operations = ReadBatch(R"({"operations": [
      {"op": "put", "key": "a", "row": {"x": 1}, "ttl_ms": 10, "if_absent": true},
      {"op": "update", "key": "b", "increment": {"n": 1}, "if_version": "0123456789abcdef0123456789ABCDEF"},
      {"op": "merge", "key": "c", "patch": {"x": null}, "expires_at_ms": null, "if_present": true},
      {"op": "delete", "key": "d"}]})",
                                    kNow);
  ASSERT_TRUE(operations.ok()) << Describe(operations.status());
  ASSERT_EQ(operations->size(), 4u);
  const RowOperation& put = (*operations)[0];
  EXPECT_EQ(put.key, "a");
  EXPECT_EQ(std::get<RowOperation::Put>(put.what).expires_at_ms, kNow + 10);
  EXPECT_EQ(put.condition.kind, Condition::Kind::kAbsent);
  const RowOperation& update = (*operations)[1];
  EXPECT_EQ(std::get<Update>(update.what).increment.size(), 1u);
  EXPECT_EQ(update.condition.kind, Condition::Kind::kVersionIn);
  EXPECT_THAT(update.condition.versions,
              ElementsAre(*table::RowDigest::FromHex("0123456789abcdef0123456789abcdef")));
  const RowOperation& merge = (*operations)[2];
  EXPECT_EQ(std::get<RowOperation::MergePatch>(merge.what).json, R"({"x":null})");
  EXPECT_TRUE(std::get<RowOperation::MergePatch>(merge.what).expiry);
  EXPECT_EQ(merge.condition.kind, Condition::Kind::kPresent);
  EXPECT_TRUE(std::holds_alternative<RowOperation::Delete>((*operations)[3].what));
}

TEST(ApiRequestTest, ABadOperationIsNamedByItsPlace) {
  for (const std::string operation :
       {R"({"op": "put", "key": "a"})", R"({"op": "put", "row": {}})", R"({"op": "fly", "key": "a"})",
        R"({"key": "a"})", R"({"op": "delete", "key": "a", "row": {}})", R"({"op": "delete", "key": 1})",
        R"({"op": "delete", "key": "a", "if_absent": false})",
        R"({"op": "delete", "key": "a", "if_absent": true, "if_present": true})",
        R"({"op": "delete", "key": "a", "if_version": "abc"})",
        R"({"op": "put", "key": "a", "row": {}, "ttl_ms": 0})",
        R"({"op": "put", "key": "a", "row": {}, "ttl_ms": 1, "expires_at_ms": 1})",
        R"({"op": "put", "key": "a", "row": {}, "expires_at_ms": 0.5})",
        R"({"op": "merge", "key": "a", "patch": []})", R"({"op": "update", "key": "a", "set": 1})"}) {
    const auto read = ReadBatch(R"({"operations": [{"op": "delete", "key": "a"}, )" + operation + "]}", kNow);
    EXPECT_EQ(Verdict(read.status()), "400 invalid_request") << operation;
    EXPECT_THAT(std::string(read.status().message()), HasSubstr("operations[1]")) << operation;
  }
  EXPECT_EQ(Verdict(ReadBatch(R"({"operations": [1]})", kNow).status()), "400 not_an_object");
  EXPECT_EQ(Verdict(ReadBatch(R"({"operations": []})", kNow).status()), "400 invalid_request");
  EXPECT_EQ(Verdict(ReadBatch(R"({})", kNow).status()), "400 invalid_request");
  EXPECT_EQ(Verdict(ReadBatch(R"({"operations": [{"op":"delete","key":"a"}], "x": 1})", kNow).status()),
            "400 invalid_request");
}

TEST(ApiRequestTest, ScansAndQueriesAskForAPage) {
  const auto scan = ReadScan(Taken("GET", "/v1/tables/t/rows?from=b&to=d&prefix=c&limit=3"));
  ASSERT_TRUE(scan.ok());
  EXPECT_EQ(scan->from, "b");
  EXPECT_EQ(scan->to, "d");
  EXPECT_EQ(scan->prefix, "c");
  EXPECT_EQ(scan->rows_max, 3u);
  EXPECT_EQ(ReadScan(Taken("GET", "/v1/tables/t/rows"))->rows_max, 1000u);
  EXPECT_EQ(ReadScan(Taken("GET", "/v1/tables/t/rows?from=a&next=" + Continuation("k")))->from, "k");
  EXPECT_EQ(Verdict(ReadScan(Taken("GET", "/v1/tables/t/rows?next=!")).status()), "400 invalid_continuation");

  const auto call = ReadQuery(R"({"filter": {"a": {"$gt": 1}}, "prefix": "p", "limit": 5})");
  ASSERT_TRUE(call.ok());
  EXPECT_TRUE(call->query.filter->Matches(R"({"a":2})"));
  EXPECT_EQ(call->query.prefix, "p");
  EXPECT_EQ(call->query.rows_max, 5u);
  EXPECT_FALSE(call->explain);
  EXPECT_FALSE(ReadQuery("{}")->query.filter);
  for (const std::string body :
       {R"({"limit": 0})", R"({"limit": 10001})", R"({"from": 1})", R"({"where": {}})", R"({"count": 1})",
        R"({"order": ""})", R"({"descending": false})", R"({"fields": "a"})", R"({"fields": [1]})"}) {
    EXPECT_EQ(Verdict(ReadQuery(body).status()), "400 invalid_request") << body;
  }
}

TEST(ApiRequestTest, AQueryHasOrderFieldsAndContinuation) {
  const auto call = ReadQuery(R"({"order": "a.b", "descending": true, "fields": ["c", "d.e"], "count": true,
                                  "explain": true, "next": "eD8"})");
  ASSERT_TRUE(call.ok()) << call.status();
  EXPECT_EQ(call->query.order.path->text, "a.b");
  EXPECT_TRUE(call->query.order.descending);
  ASSERT_EQ(call->query.fields.size(), 2u);
  EXPECT_EQ(call->query.fields[1].text, "d.e");
  EXPECT_TRUE(call->query.count);
  EXPECT_TRUE(call->explain);
  EXPECT_EQ(call->query.after, "x?");
  EXPECT_EQ(ReadQuery(R"({"order": "$key"})")->query.order.by, table::QueryOrder::By::kKey);
  for (const std::string body : {R"({"order": "$a"})", R"({"fields": [""]})", R"({"fields": ["$key"]})"}) {
    EXPECT_EQ(Verdict(ReadQuery(body).status()), "400 invalid_query") << body;
  }
  EXPECT_EQ(Verdict(ReadQuery(R"({"next": "!"})").status()), "400 invalid_continuation");
  EXPECT_EQ(Verdict(ReadQuery(R"({"filter": []})").status()), "400 invalid_filter");
}

TEST(ApiRequestTest, AnIndexHasAPath) {
  EXPECT_EQ(*ReadIndex(R"({"path": "a.b"})"), "a.b");
  for (const std::string body : {"{}", R"({"path": 1})", R"({"path": "a", "name": "b"})"}) {
    EXPECT_EQ(Verdict(ReadIndex(body).status()), "400 invalid_request") << body;
  }
}

TEST(ApiRequestTest, ADefinitionHasADirectionAndSettings) {
  const auto definition =
      ReadDefinition("pumps", R"({"direction": "both", "prefix": "site/${edge}/", "row_bytes_max": 1000})");
  ASSERT_TRUE(definition.ok());
  EXPECT_EQ(definition->name(), "pumps");
  EXPECT_EQ(definition->direction(), v1::TABLE_BOTH);
  EXPECT_EQ(definition->settings().prefix(), "site/${edge}/");
  EXPECT_EQ(definition->settings().row_bytes_max(), 1000u);
  EXPECT_EQ(Verdict(ReadDefinition("t", R"({"direction": "sideways"})").status()), "400 invalid_request");
  EXPECT_EQ(Verdict(ReadDefinition("t", R"({"row_bytes_max": -1})").status()), "400 invalid_request");
  EXPECT_EQ(Verdict(ReadDefinition("t", R"({"size": 1})").status()), "400 invalid_request");
}

}  // namespace
}  // namespace selvage::api
