#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks for groups with their members.
struct DescribeGroupsRequest {
  static constexpr ApiKey kApi = ApiKey::kDescribeGroups;
  static constexpr Half kHalf = Half::kRequest;

  std::vector<std::string> groups;
  bool include_authorized_operations = false;

  bool operator==(const DescribeGroupsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("groups", m.groups);
    field("include_authorized_operations", m.include_authorized_operations, Since(3));
  }
};

/// State "Dead" for a group that does not exist.
struct DescribeGroupsResponse {
  static constexpr ApiKey kApi = ApiKey::kDescribeGroups;
  static constexpr Half kHalf = Half::kResponse;

  struct Group {
    struct Member {
      std::string member_id;
      std::optional<std::string> group_instance_id;
      std::string client_id;
      std::string client_host;
      std::string member_metadata;
      std::string member_assignment;

      bool operator==(const Member&) const = default;
      static void Fields(auto& field, auto& m) {
        field("member_id", m.member_id);
        field("group_instance_id", m.group_instance_id, Since(4));
        field("client_id", m.client_id);
        field("client_host", m.client_host);
        field.Blob("member_metadata", m.member_metadata);
        field.Blob("member_assignment", m.member_assignment);
      }
    };

    ErrorCode error_code = ErrorCode::kNone;
    std::string group_id;
    std::string group_state;
    std::string protocol_type;
    std::string protocol_data;
    std::vector<Member> members;
    int32_t authorized_operations = INT32_MIN;  ///< bits; INT32_MIN when not asked for

    bool operator==(const Group&) const = default;
    static void Fields(auto& field, auto& m) {
      field("error_code", m.error_code);
      field("group_id", m.group_id);
      field("group_state", m.group_state);
      field("protocol_type", m.protocol_type);
      field("protocol_data", m.protocol_data);
      field("members", m.members);
      field("authorized_operations", m.authorized_operations, Since(3));
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Group> groups;

  bool operator==(const DescribeGroupsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(1));
    field("groups", m.groups);
  }
};

}  // namespace selvage::kafka
