#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks for a producer id.
struct InitProducerIdRequest {
  static constexpr ApiKey kApi = ApiKey::kInitProducerId;
  static constexpr Half kHalf = Half::kRequest;

  std::optional<std::string> transactional_id;  ///< null for a producer that is only idempotent
  int32_t transaction_timeout_ms = 0;
  int64_t producer_id = -1;
  int16_t producer_epoch = -1;

  bool operator==(const InitProducerIdRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("transactional_id", m.transactional_id);
    field("transaction_timeout_ms", m.transaction_timeout_ms);
    field("producer_id", m.producer_id, Since(3));
    field("producer_epoch", m.producer_epoch, Since(3));
  }
};

/// A producer id with its epoch.
struct InitProducerIdResponse {
  static constexpr ApiKey kApi = ApiKey::kInitProducerId;
  static constexpr Half kHalf = Half::kResponse;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  int64_t producer_id = -1;
  int16_t producer_epoch = 0;

  bool operator==(const InitProducerIdResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("error_code", m.error_code);
    field("producer_id", m.producer_id);
    field("producer_epoch", m.producer_epoch);
  }
};

}  // namespace selvage::kafka
