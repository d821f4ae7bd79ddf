#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks for committed offsets; of one group up to version 7, of several from version 8 on.
struct OffsetFetchRequest {
  static constexpr ApiKey kApi = ApiKey::kOffsetFetch;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    std::string name;
    std::vector<int32_t> partition_indexes;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("partition_indexes", m.partition_indexes);
    }
  };

  struct Group {
    std::string group_id;
    std::optional<std::string> member_id;
    int32_t member_epoch = -1;
    std::optional<std::vector<Topic>> topics;  ///< null: all

    bool operator==(const Group&) const = default;
    static void Fields(auto& field, auto& m) {
      field("group_id", m.group_id);
      field("member_id", m.member_id, Since(9));
      field("member_epoch", m.member_epoch, Since(9));
      field("topics", m.topics);
    }
  };

  std::string group_id;
  std::optional<std::vector<Topic>> topics;  ///< null: all
  std::vector<Group> groups;
  bool require_stable = false;

  bool operator==(const OffsetFetchRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("group_id", m.group_id, Until(7));
    field("topics", m.topics, Until(7).NullSince(2));
    field("groups", m.groups, Since(8));
    field("require_stable", m.require_stable, Since(7));
  }
};

/// Offset -1 with empty metadata where nothing was committed.
struct OffsetFetchResponse {
  static constexpr ApiKey kApi = ApiKey::kOffsetFetch;
  static constexpr Half kHalf = Half::kResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int64_t committed_offset = 0;
      int32_t committed_leader_epoch = -1;
      std::optional<std::string> metadata;
      ErrorCode error_code = ErrorCode::kNone;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition_index", m.partition_index);
        field("committed_offset", m.committed_offset);
        field("committed_leader_epoch", m.committed_leader_epoch, Since(5));
        field("metadata", m.metadata);
        field("error_code", m.error_code);
      }
    };

    std::string name;
    std::vector<Partition> partitions;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("partitions", m.partitions);
    }
  };

  struct Group {
    std::string group_id;
    std::vector<Topic> topics;
    ErrorCode error_code = ErrorCode::kNone;

    bool operator==(const Group&) const = default;
    static void Fields(auto& field, auto& m) {
      field("group_id", m.group_id);
      field("topics", m.topics);
      field("error_code", m.error_code);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Group> groups;

  bool operator==(const OffsetFetchResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(3));
    field("topics", m.topics, Until(7));
    field("error_code", m.error_code, Between(2, 7));
    field("groups", m.groups, Since(8));
  }
};

}  // namespace selvage::kafka
