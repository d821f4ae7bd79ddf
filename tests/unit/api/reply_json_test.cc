#include "fabric/api/reply_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "fabric/api/conditions.h"
#include "fabric/api/problem.h"
#include "fabric/api/request_json.h"
#include "tests/unit/api/begin.h"

namespace selvage::api {
namespace {

using table::RowDigest;
using table::RowView;

const RowDigest kVersion = *RowDigest::FromHex("0123456789abcdef0123456789abcdef");

TEST(ApiReplyJsonTest, ARowIsItsJsonWithItsVersionAsTag) {
  const Reply reply = RowReply({"a", R"({"bar":7})", kVersion, 1234});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, R"({"bar":7})");
  EXPECT_EQ(HeaderOf(reply, "ETag"), "\"0123456789abcdef0123456789abcdef\"");
  EXPECT_EQ(HeaderOf(reply, "Selvage-Expires-At-Ms"), "1234");
  EXPECT_EQ(HeaderOf(RowReply({"a", "{}", kVersion, {}}), "Selvage-Expires-At-Ms"), "");
}

TEST(ApiReplyJsonTest, AWriteSaysWhetherTheRowIsNew) {
  EXPECT_EQ(WrittenReply({kVersion, true}).status, 201);
  EXPECT_EQ(WrittenReply({kVersion, false}).status, 204);
  EXPECT_EQ(HeaderOf(WrittenReply({kVersion, false}), "ETag"), ETag(kVersion));
  EXPECT_EQ(HeaderOf(WrittenReply({}), "ETag"), "");
}

TEST(ApiReplyJsonTest, APageNamesTheOneThatFollows) {
  table::ScanPage page;
  EXPECT_EQ(PageJson(page), R"({"rows":[]})");
  page.rows = {{"a\n", R"({"x":[1]})", kVersion, {}}, {"b", "{}", kVersion, 5}};
  page.next = std::string("b\0\xff", 3);
  const auto json = boost::json::parse(PageJson(page));
  EXPECT_EQ(json.at("rows"), boost::json::parse(R"([
      {"key": "a\n", "row": {"x": [1]}, "version": "0123456789abcdef0123456789abcdef"},
      {"key": "b", "row": {}, "version": "0123456789abcdef0123456789abcdef", "expires_at_ms": 5}])"));
  const std::string token(json.at("next").as_string());
  EXPECT_EQ(*ReadContinuation(token), *page.next);
  EXPECT_EQ(Verdict(Refuse(ReadContinuation("?").status())), "400 invalid_continuation");
  EXPECT_EQ(Verdict(Refuse(ReadContinuation(token + "=").status())), "400 invalid_continuation");
}

TEST(ApiReplyJsonTest, ABatchAnswersForEachOperation) {
  EXPECT_EQ(boost::json::parse(BatchJson({"a", "b"}, {{kVersion, true}, {{}, false}})),
            boost::json::parse(R"({
      "results": [{"key": "a", "version": "0123456789abcdef0123456789abcdef", "created": true},
                  {"key": "b", "created": false}]})"));
}

}  // namespace
}  // namespace selvage::api
