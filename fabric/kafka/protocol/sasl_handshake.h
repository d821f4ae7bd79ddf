#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Chooses a mechanism. After version 0 the tokens are sent bare, after version 1 in SaslAuthenticate.
struct SaslHandshakeRequest {
  static constexpr ApiKey kApi = ApiKey::kSaslHandshake;
  static constexpr Half kHalf = Half::kRequest;

  std::string mechanism;

  bool operator==(const SaslHandshakeRequest&) const = default;
  static void Fields(auto& field, auto& m) { field("mechanism", m.mechanism); }
};

/// The mechanisms that there are.
struct SaslHandshakeResponse {
  static constexpr ApiKey kApi = ApiKey::kSaslHandshake;
  static constexpr Half kHalf = Half::kResponse;

  ErrorCode error_code = ErrorCode::kNone;
  std::vector<std::string> mechanisms;

  bool operator==(const SaslHandshakeResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("error_code", m.error_code);
    field("mechanisms", m.mechanisms);
  }
};

}  // namespace selvage::kafka
