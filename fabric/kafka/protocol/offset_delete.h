#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Committed offsets to delete.
struct OffsetDeleteRequest {
  static constexpr ApiKey kApi = ApiKey::kOffsetDelete;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) { field("partition_index", m.partition_index); }
    };

    std::string name;
    std::vector<Partition> partitions;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("partitions", m.partitions);
    }
  };

  std::string group_id;
  std::vector<Topic> topics;

  bool operator==(const OffsetDeleteRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("group_id", m.group_id);
    field("topics", m.topics);
  }
};

/// An outcome for each partition.
struct OffsetDeleteResponse {
  static constexpr ApiKey kApi = ApiKey::kOffsetDelete;
  static constexpr Half kHalf = Half::kResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition_index", m.partition_index);
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

  ErrorCode error_code = ErrorCode::kNone;
  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  bool operator==(const OffsetDeleteResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("error_code", m.error_code);
    field("throttle_time_ms", m.throttle_time_ms);
    field("topics", m.topics);
  }
};

}  // namespace selvage::kafka
