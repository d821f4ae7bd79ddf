#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/protocol/sasl_authenticate.h"
#include "fabric/kafka/protocol/sasl_handshake.h"

namespace selvage::kafka {
namespace {

// A client that wants SASL where there is none takes this for final and says so. If the request were not
// known, the client would dial again until its timeout.

Awaitable<SaslHandshakeResponse> Handshake(Context&, Call&, SaslHandshakeRequest) {
  SaslHandshakeResponse response;
  response.error_code = ErrorCode::kIllegalSaslState;
  co_return response;
}

Awaitable<SaslAuthenticateResponse> Authenticate(Context&, Call&, SaslAuthenticateRequest) {
  SaslAuthenticateResponse response;
  response.error_code = ErrorCode::kIllegalSaslState;
  response.error_message =
      "this listener takes no SASL: set security.protocol to SSL, or to PLAINTEXT where it has no TLS";
  co_return response;
}

}  // namespace

const ServedApi kServeSaslHandshake = {ApiKey::kSaslHandshake, 0, 1,
                                       &ServeWith<SaslHandshakeRequest, SaslHandshakeResponse, &Handshake>};
const ServedApi kServeSaslAuthenticate = {
    ApiKey::kSaslAuthenticate, 0, 2,
    &ServeWith<SaslAuthenticateRequest, SaslAuthenticateResponse, &Authenticate>};

}  // namespace selvage::kafka
