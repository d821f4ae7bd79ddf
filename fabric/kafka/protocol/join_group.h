#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Joins a group, or joins its rebalance again.
struct JoinGroupRequest {
  static constexpr ApiKey kApi = ApiKey::kJoinGroup;
  static constexpr Half kHalf = Half::kRequest;

  struct Protocol {
    std::string name;
    std::string metadata;

    bool operator==(const Protocol&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field.Blob("metadata", m.metadata);
    }
  };

  std::string group_id;
  int32_t session_timeout_ms = 0;
  int32_t rebalance_timeout_ms = -1;  ///< -1 before version 1: the session timeout
  std::string member_id;
  std::optional<std::string> group_instance_id;
  std::string protocol_type;
  std::vector<Protocol> protocols;
  std::optional<std::string> reason;

  bool operator==(const JoinGroupRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("group_id", m.group_id);
    field("session_timeout_ms", m.session_timeout_ms);
    field("rebalance_timeout_ms", m.rebalance_timeout_ms, Since(1));
    field("member_id", m.member_id);
    field("group_instance_id", m.group_instance_id, Since(5));
    field("protocol_type", m.protocol_type);
    field("protocols", m.protocols);
    field("reason", m.reason, Since(8));
  }
};

/// The new generation; only its leader hears of the members.
struct JoinGroupResponse {
  static constexpr ApiKey kApi = ApiKey::kJoinGroup;
  static constexpr Half kHalf = Half::kResponse;

  struct Member {
    std::string member_id;
    std::optional<std::string> group_instance_id;
    std::string metadata;

    bool operator==(const Member&) const = default;
    static void Fields(auto& field, auto& m) {
      field("member_id", m.member_id);
      field("group_instance_id", m.group_instance_id, Since(5));
      field.Blob("metadata", m.metadata);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  int32_t generation_id = -1;
  std::optional<std::string> protocol_type;
  std::optional<std::string> protocol_name;
  std::string leader;
  bool skip_assignment = false;
  std::string member_id;
  std::vector<Member> members;

  bool operator==(const JoinGroupResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(2));
    field("error_code", m.error_code);
    field("generation_id", m.generation_id);
    field("protocol_type", m.protocol_type, Since(7));
    field("protocol_name", m.protocol_name, Versions{}.NullSince(7));
    field("leader", m.leader);
    field("skip_assignment", m.skip_assignment, Since(9));
    field("member_id", m.member_id);
    field("members", m.members);
  }
};

}  // namespace selvage::kafka
