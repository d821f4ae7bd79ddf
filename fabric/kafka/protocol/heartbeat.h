#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Keeps a member in its group.
struct HeartbeatRequest {
  static constexpr ApiKey kApi = ApiKey::kHeartbeat;
  static constexpr Half kHalf = Half::kRequest;

  std::string group_id;
  int32_t generation_id = 0;
  std::string member_id;
  std::optional<std::string> group_instance_id;

  bool operator==(const HeartbeatRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("group_id", m.group_id);
    field("generation_id", m.generation_id);
    field("member_id", m.member_id);
    field("group_instance_id", m.group_instance_id, Since(3));
  }
};

/// Also how a member hears of a rebalance.
struct HeartbeatResponse {
  static constexpr ApiKey kApi = ApiKey::kHeartbeat;
  static constexpr Half kHalf = Half::kResponse;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;

  bool operator==(const HeartbeatResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(1));
    field("error_code", m.error_code);
  }
};

}  // namespace selvage::kafka
