// What a connection begins with.
#include "fabric/kafka/protocol/api_versions.h"
#include "fabric/kafka/protocol/codec.h"
#include "fabric/kafka/protocol/sasl_authenticate.h"
#include "fabric/kafka/protocol/sasl_handshake.h"

namespace selvage::kafka {

SELVAGE_KAFKA_MESSAGE(ApiVersionsRequest);
SELVAGE_KAFKA_MESSAGE(ApiVersionsResponse);
SELVAGE_KAFKA_MESSAGE(SaslHandshakeRequest);
SELVAGE_KAFKA_MESSAGE(SaslHandshakeResponse);
SELVAGE_KAFKA_MESSAGE(SaslAuthenticateRequest);
SELVAGE_KAFKA_MESSAGE(SaslAuthenticateResponse);

ApiVersionsResponse UnservedApiVersions(int16_t min, int16_t max) {
  ApiVersionsResponse response;
  response.error_code = ErrorCode::kUnsupportedVersion;
  response.api_keys.push_back({static_cast<int16_t>(ApiKey::kApiVersions), min, max});
  return response;
}

}  // namespace selvage::kafka
