#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks which broker coordinates a group or a transactional id; several from version 4 on.
struct FindCoordinatorRequest {
  static constexpr ApiKey kApi = ApiKey::kFindCoordinator;
  static constexpr Half kHalf = Half::kRequest;

  std::string key;
  int8_t key_type = 0;  ///< 0: group; 1: transactional id
  std::vector<std::string> coordinator_keys;

  bool operator==(const FindCoordinatorRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("key", m.key, Until(3));
    field("key_type", m.key_type, Since(1));
    field("coordinator_keys", m.coordinator_keys, Since(4));
  }
};

/// One coordinator up to version 3, a list from version 4 on.
struct FindCoordinatorResponse {
  static constexpr ApiKey kApi = ApiKey::kFindCoordinator;
  static constexpr Half kHalf = Half::kResponse;

  struct Coordinator {
    std::string key;
    int32_t node_id = 0;
    std::string host;
    int32_t port = 0;
    ErrorCode error_code = ErrorCode::kNone;
    std::optional<std::string> error_message;

    bool operator==(const Coordinator&) const = default;
    static void Fields(auto& field, auto& m) {
      field("key", m.key);
      field("node_id", m.node_id);
      field("host", m.host);
      field("port", m.port);
      field("error_code", m.error_code);
      field("error_message", m.error_message);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::optional<std::string> error_message;
  int32_t node_id = 0;
  std::string host;
  int32_t port = 0;
  std::vector<Coordinator> coordinators;

  bool operator==(const FindCoordinatorResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(1));
    field("error_code", m.error_code, Until(3));
    field("error_message", m.error_message, Between(1, 3));
    field("node_id", m.node_id, Until(3));
    field("host", m.host, Until(3));
    field("port", m.port, Until(3));
    field("coordinators", m.coordinators, Since(4));
  }
};

}  // namespace selvage::kafka
