#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks for the names of all groups, or of those in certain states and of certain types.
struct ListGroupsRequest {
  static constexpr ApiKey kApi = ApiKey::kListGroups;
  static constexpr Half kHalf = Half::kRequest;

  std::vector<std::string> states_filter;
  std::vector<std::string> types_filter;

  bool operator==(const ListGroupsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("states_filter", m.states_filter, Since(4));
    field("types_filter", m.types_filter, Since(5));
  }
};

/// The groups that the coordinator has.
struct ListGroupsResponse {
  static constexpr ApiKey kApi = ApiKey::kListGroups;
  static constexpr Half kHalf = Half::kResponse;

  struct Group {
    std::string group_id;
    std::string protocol_type;
    std::string group_state;
    std::string group_type;

    bool operator==(const Group&) const = default;
    static void Fields(auto& field, auto& m) {
      field("group_id", m.group_id);
      field("protocol_type", m.protocol_type);
      field("group_state", m.group_state, Since(4));
      field("group_type", m.group_type, Since(5));
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Group> groups;

  bool operator==(const ListGroupsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(1));
    field("error_code", m.error_code);
    field("groups", m.groups);
  }
};

}  // namespace selvage::kafka
