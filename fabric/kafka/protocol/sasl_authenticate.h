#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// A token of the mechanism that the handshake chose.
struct SaslAuthenticateRequest {
  static constexpr ApiKey kApi = ApiKey::kSaslAuthenticate;
  static constexpr Half kHalf = Half::kRequest;

  std::string auth_bytes;

  bool operator==(const SaslAuthenticateRequest&) const = default;
  static void Fields(auto& field, auto& m) { field.Blob("auth_bytes", m.auth_bytes); }
};

/// The other side's token.
struct SaslAuthenticateResponse {
  static constexpr ApiKey kApi = ApiKey::kSaslAuthenticate;
  static constexpr Half kHalf = Half::kResponse;

  ErrorCode error_code = ErrorCode::kNone;
  std::optional<std::string> error_message;
  std::string auth_bytes;
  int64_t session_lifetime_ms = 0;

  bool operator==(const SaslAuthenticateResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("error_code", m.error_code);
    field("error_message", m.error_message);
    field.Blob("auth_bytes", m.auth_bytes);
    field("session_lifetime_ms", m.session_lifetime_ms, Since(1));
  }
};

}  // namespace selvage::kafka
