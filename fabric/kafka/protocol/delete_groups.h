#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Groups to delete with their offsets.
struct DeleteGroupsRequest {
  static constexpr ApiKey kApi = ApiKey::kDeleteGroups;
  static constexpr Half kHalf = Half::kRequest;

  std::vector<std::string> groups_names;

  bool operator==(const DeleteGroupsRequest&) const = default;
  static void Fields(auto& field, auto& m) { field("groups_names", m.groups_names); }
};

/// An outcome for each group.
struct DeleteGroupsResponse {
  static constexpr ApiKey kApi = ApiKey::kDeleteGroups;
  static constexpr Half kHalf = Half::kResponse;

  struct Result {
    std::string group_id;
    ErrorCode error_code = ErrorCode::kNone;

    bool operator==(const Result&) const = default;
    static void Fields(auto& field, auto& m) {
      field("group_id", m.group_id);
      field("error_code", m.error_code);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Result> results;

  bool operator==(const DeleteGroupsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("results", m.results);
  }
};

}  // namespace selvage::kafka
