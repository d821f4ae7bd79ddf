#include "fabric/api/call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/api/begin.h"

namespace selvage::api {
namespace {

using ::testing::HasSubstr;

TEST(ApiCallTest, FindsTheRouteOfMethodAndPath) {
  EXPECT_EQ(Taken("GET", "/v1/tables").route->action, Action::kListTables);
  EXPECT_EQ(Taken("GET", "/v1/tables/pumps").route->action, Action::kGetTable);
  EXPECT_EQ(Taken("PUT", "/v1/tables/pumps", Json()).route->action, Action::kPutTable);
  EXPECT_EQ(Taken("DELETE", "/v1/tables/pumps").route->action, Action::kDropTable);
  EXPECT_EQ(Taken("GET", "/v1/tables/pumps/rows").route->action, Action::kScan);
  EXPECT_EQ(Taken("GET", "/v1/tables/pumps/rows/p1").route->action, Action::kGetRow);
  EXPECT_EQ(Taken("PUT", "/v1/tables/pumps/rows/p1", Json()).route->action, Action::kPutRow);
  EXPECT_EQ(Taken("DELETE", "/v1/tables/pumps/rows/p1").route->action, Action::kDeleteRow);
  EXPECT_EQ(Taken("POST", "/v1/tables/pumps/query", Json()).route->action, Action::kQuery);
  EXPECT_EQ(Taken("POST", "/v1/tables/pumps/batch", Json()).route->action, Action::kBatch);
  EXPECT_EQ(Taken("GET", "/v1/tables/pumps/watch").route->action, Action::kWatch);
  EXPECT_EQ(Taken("GET", "/v1/views").route->action, Action::kListViews);
  EXPECT_EQ(Taken("GET", "/v1/views/by-pump").route->action, Action::kGetView);
  EXPECT_EQ(Taken("PUT", "/v1/views/by-pump", Json()).route->action, Action::kPutView);
  EXPECT_EQ(Taken("DELETE", "/v1/views/by-pump").route->action, Action::kDropView);
  EXPECT_EQ(Taken("POST", "/v1/views/by-pump/rebuild").route->action, Action::kRebuildView);
  EXPECT_EQ(Taken("GET", "/v1/openapi.json").route->action, Action::kOpenApi);
  EXPECT_EQ(Taken("GET", "http://edge:8480/v1/tables").route->action, Action::kListTables);
}

TEST(ApiCallTest, KeysArePercentDecoded) {
  EXPECT_EQ(Taken("GET", "/v1/tables/t/rows/site%2Fa%20b%2B+%C3%A9").Text("key"), "site/a b++\xC3\xA9");
  EXPECT_EQ(Taken("GET", "/v1/tables/t/rows/%00").Text("key"), std::string(1, '\0'));
  EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows/%ff")), "400 invalid_key");
  EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows/%4")), "400 invalid_path");
  EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows/%zz")), "400 invalid_path");
  EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows/")), "400 invalid_key");
  EXPECT_EQ(Taken("GET", "/v1/tables/t/rows/" + std::string(1024, 'k')).Text("key").size(), 1024u);
  EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows/" + std::string(1025, 'k'))), "400 invalid_key");
  for (const std::string key : {"a/b", "..", "100%", "caf\xC3\xA9", " +"}) {
    EXPECT_EQ(Taken("GET", "/v1/tables/t/rows/" + PercentEncode(key)).Text("key"), key);
  }
}

TEST(ApiCallTest, AKeyWithASlashThatIsNotEncodedIsExplained) {
  const Reply refusal = Refused("GET", "/v1/tables/t/rows/site/a");
  EXPECT_EQ(Verdict(refusal), "404 unknown_path");
  EXPECT_THAT(refusal.body, HasSubstr("%2F"));
  EXPECT_EQ(Verdict(Refused("GET", "/")), "404 unknown_path");
  EXPECT_EQ(Verdict(Refused("OPTIONS", "*")), "404 unknown_path");
  EXPECT_EQ(Verdict(Refused("GET", "")), "404 unknown_path");
}

TEST(ApiCallTest, AnotherMethodIsToldWhichOnesAreServed) {
  const Reply refusal = Refused("POST", "/v1/tables/t/rows/a");
  EXPECT_EQ(Verdict(refusal), "405 method_not_allowed");
  EXPECT_EQ(HeaderOf(refusal, "Allow"), "GET, HEAD, PUT, PATCH, DELETE");
  EXPECT_EQ(HeaderOf(Refused("DELETE", "/v1/tables/t/watch"), "Allow"), "GET");
  EXPECT_EQ(Verdict(Refused("HEAD", "/v1/tables/t/watch")), "405 method_not_allowed");
  EXPECT_EQ(Verdict(Refused("get", "/v1/tables")), "405 method_not_allowed");
  EXPECT_TRUE(Taken("HEAD", "/v1/tables/t/rows/a").head);
}

TEST(ApiCallTest, QueryParametersAreThoseOfTheRoute) {
  const Call scan = Taken("GET", "/v1/tables/t/rows?prefix=a+b%2Bc&limit=10&to=");
  EXPECT_EQ(scan.Text("prefix"), "a b+c");
  EXPECT_EQ(scan.Integer("limit"), 10);
  EXPECT_NE(scan.Find("to"), nullptr);
  EXPECT_EQ(scan.Find("from"), nullptr);
  EXPECT_EQ(scan.Integer("from"), std::nullopt);
  EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows?limt=10")), "400 unknown_parameter");
  EXPECT_THAT(Refused("GET", "/v1/tables/t/rows?limt=10").body, HasSubstr("limit"));
  EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows?limit=1&limit=2")), "400 repeated_parameter");
  for (const std::string limit :
       {"", "0", "10001", "ten", "1.5", "1e3", " 1", "+1", "99999999999999999999"}) {
    EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows?limit=" + PercentEncode(limit))),
              "400 invalid_parameter")
        << limit;
  }
  EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows?prefix=%ff")), "400 invalid_parameter");
  EXPECT_EQ(Verdict(Refused("GET", "/v1/tables/t/rows?prefix=%f")), "400 invalid_parameter");
}

TEST(ApiCallTest, ABodyMustBeOfAFormThatTheRouteTakes) {
  const std::string row = "/v1/tables/t/rows/a";
  EXPECT_EQ(Taken("PUT", row, {{"content-type", " Application/JSON ; charset=utf-8"}}).media_type,
            "application/json");
  EXPECT_EQ(Verdict(Refused("PUT", row)), "415 unsupported_media_type");
  // What curl -d says without being told, and what a page of another site may send without being asked.
  EXPECT_EQ(Verdict(Refused("PUT", row, {{"content-type", "application/x-www-form-urlencoded"}})),
            "415 unsupported_media_type");
  EXPECT_EQ(Verdict(Refused("POST", "/v1/tables/t/batch", {{"content-type", "text/plain"}})),
            "415 unsupported_media_type");
  EXPECT_EQ(Taken("PATCH", row, {{"content-type", "application/merge-patch+json"}}).media_type,
            kMergePatchType);
  const Reply refusal = Refused("PATCH", row, Json());
  EXPECT_EQ(Verdict(refusal), "415 unsupported_media_type");
  EXPECT_EQ(HeaderOf(refusal, "Accept-Patch"),
            "application/merge-patch+json, application/vnd.selvage.update+json");
}

TEST(ApiCallTest, BodiesAreBoundedBeforeTheyArrive) {
  const std::string row = "/v1/tables/t/rows/a";
  EXPECT_EQ(Verdict(Refused("PUT", row, Json({{"content-length", "4194305"}}))), "413 body_too_large");
  EXPECT_EQ(Taken("PUT", row, Json({{"content-length", "4194304"}})).route->body_max, 4194304u);
  EXPECT_EQ(Verdict(Refused("GET", row, {{"content-length", "1"}})), "400 unexpected_body");
  EXPECT_EQ(Verdict(Refused("DELETE", row, {{"transfer-encoding", "chunked"}})), "400 unexpected_body");
  EXPECT_EQ(Taken("DELETE", row, {{"content-length", "0"}}).route->action, Action::kDeleteRow);
}

}  // namespace
}  // namespace selvage::api
