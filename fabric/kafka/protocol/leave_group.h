#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// One member up to version 2, several from version 3 on.
struct LeaveGroupRequest {
  static constexpr ApiKey kApi = ApiKey::kLeaveGroup;
  static constexpr Half kHalf = Half::kRequest;

  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    std::optional<std::string> reason;

    bool operator==(const Member&) const = default;
    static void Fields(auto& field, auto& m) {
      field("member_id", m.member_id);
      field("group_instance_id", m.group_instance_id);
      field("reason", m.reason, Since(5));
    }
  };

  std::string group_id;
  std::string member_id;
  std::vector<Member> members;

  bool operator==(const LeaveGroupRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("group_id", m.group_id);
    field("member_id", m.member_id, Until(2));
    field("members", m.members, Since(3));
  }
};

/// An outcome for each member from version 3 on.
struct LeaveGroupResponse {
  static constexpr ApiKey kApi = ApiKey::kLeaveGroup;
  static constexpr Half kHalf = Half::kResponse;

  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    ErrorCode error_code = ErrorCode::kNone;

    bool operator==(const Member&) const = default;
    static void Fields(auto& field, auto& m) {
      field("member_id", m.member_id);
      field("group_instance_id", m.group_instance_id);
      field("error_code", m.error_code);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Member> members;

  bool operator==(const LeaveGroupResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(1));
    field("error_code", m.error_code);
    field("members", m.members, Since(3));
  }
};

}  // namespace selvage::kafka
