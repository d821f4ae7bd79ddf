#include "fabric/kafka/handlers/api_table.h"

#include <set>

#include "fabric/kafka/protocol/api_versions.h"
#include "fabric/kafka/protocol/init_producer_id.h"
#include "fabric/kafka/protocol/sasl_authenticate.h"
#include "fabric/kafka/protocol/sasl_handshake.h"
#include "tests/unit/kafka/handlers/handler_world.h"

namespace selvage::kafka::test {
namespace {

TEST(ApiTableTest, WhatIsAdvertisedIsInOrderAndKnownToTheCodec) {
  int16_t before = -1;
  for (const ServedApi* served : ServedApis()) {
    const auto key = static_cast<int16_t>(served->key);
    EXPECT_LT(before, key);
    before = key;
    const Api& api = ApiOf(served->key);
    EXPECT_LE(served->min, served->max) << api.name;
    EXPECT_LE(served->max, api.max) << api.name;
    // Produce is advertised from 0 on for old clients that never send it so.
    EXPECT_TRUE(served->min >= api.min || served->key == ApiKey::kProduce) << api.name;
    EXPECT_EQ(FindServed(key), served);
  }
  EXPECT_EQ(FindServed(24), nullptr) << "no transactions";
}

TEST(ApiTableTest, ApiVersionsSaysTheSame) {
  HandlerWorld world;
  for (int16_t version = 0; version <= 4; ++version) {
    const auto response = world.Ask<ApiVersionsResponse>(ApiVersionsRequest(), version);
    EXPECT_EQ(response.error_code, ErrorCode::kNone);
    EXPECT_EQ(response.api_keys.size(), ServedApis().size());
  }
}

TEST(SaslTest, AClientThatWantsItIsToldForGoodThatThereIsNone) {
  HandlerWorld world;
  for (int16_t version = 0; version <= 1; ++version) {
    const auto response = world.Ask<SaslHandshakeResponse>(SaslHandshakeRequest{"PLAIN"}, version);
    EXPECT_EQ(response.error_code, ErrorCode::kIllegalSaslState);
  }
  EXPECT_EQ(world.Ask<SaslAuthenticateResponse>(SaslAuthenticateRequest{"token"}).error_code,
            ErrorCode::kIllegalSaslState);
}

TEST(ProducerIdsTest, NoIdIsGivenTwice) {
  HandlerWorld world;
  std::set<int64_t> given;
  for (int start = 0; start < 3; ++start) {
    for (int i = 0; i < 1500; ++i) {
      const auto response = world.Ask<InitProducerIdResponse>(InitProducerIdRequest());
      ASSERT_EQ(response.error_code, ErrorCode::kNone);
      ASSERT_GE(response.producer_id, 0);
      ASSERT_EQ(response.producer_epoch, 0);
      ASSERT_TRUE(given.insert(response.producer_id).second) << response.producer_id;
    }
    world.Restart();
  }
}

TEST(ProducerIdsTest, TransactionsAreRefusedForGood) {
  HandlerWorld world;
  InitProducerIdRequest request;
  request.transactional_id = "tx";
  for (int16_t version = 0; version <= 4; ++version) {
    EXPECT_EQ(world.Ask<InitProducerIdResponse>(request, version).error_code,
              ErrorCode::kTransactionalIdAuthorizationFailed);
  }
}

}  // namespace
}  // namespace selvage::kafka::test
