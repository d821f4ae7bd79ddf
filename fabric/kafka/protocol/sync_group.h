#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks for the assignment of a generation; the leader brings those of all members.
struct SyncGroupRequest {
  static constexpr ApiKey kApi = ApiKey::kSyncGroup;
  static constexpr Half kHalf = Half::kRequest;

  struct Assignment {
    std::string member_id;
    std::string assignment;

    bool operator==(const Assignment&) const = default;
    static void Fields(auto& field, auto& m) {
      field("member_id", m.member_id);
      field.Blob("assignment", m.assignment);
    }
  };

  std::string group_id;
  int32_t generation_id = 0;
  std::string member_id;
  std::optional<std::string> group_instance_id;
  std::optional<std::string> protocol_type;
  std::optional<std::string> protocol_name;
  std::vector<Assignment> assignments;

  bool operator==(const SyncGroupRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("group_id", m.group_id);
    field("generation_id", m.generation_id);
    field("member_id", m.member_id);
    field("group_instance_id", m.group_instance_id, Since(3));
    field("protocol_type", m.protocol_type, Since(5));
    field("protocol_name", m.protocol_name, Since(5));
    field("assignments", m.assignments);
  }
};

/// The assignment of the member that asked.
struct SyncGroupResponse {
  static constexpr ApiKey kApi = ApiKey::kSyncGroup;
  static constexpr Half kHalf = Half::kResponse;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::optional<std::string> protocol_type;
  std::optional<std::string> protocol_name;
  std::string assignment;

  bool operator==(const SyncGroupResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(1));
    field("error_code", m.error_code);
    field("protocol_type", m.protocol_type, Since(5));
    field("protocol_name", m.protocol_name, Since(5));
    field.Blob("assignment", m.assignment);
  }
};

}  // namespace selvage::kafka
