#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks for offsets by time.
struct ListOffsetsRequest {
  static constexpr ApiKey kApi = ApiKey::kListOffsets;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int32_t current_leader_epoch = -1;
      int64_t timestamp = 0;  ///< -1: the end; -2: the start; -3: the record with the largest time; else the
                              ///< first at or after it

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition_index", m.partition_index);
        field("current_leader_epoch", m.current_leader_epoch, Since(4));
        field("timestamp", m.timestamp);
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

  int32_t replica_id = 0;
  int8_t isolation_level = 0;
  std::vector<Topic> topics;

  bool operator==(const ListOffsetsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("replica_id", m.replica_id);
    field("isolation_level", m.isolation_level, Since(2));
    field("topics", m.topics);
  }
};

/// Offset and timestamp -1 where no record is that late.
struct ListOffsetsResponse {
  static constexpr ApiKey kApi = ApiKey::kListOffsets;
  static constexpr Half kHalf = Half::kResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      int64_t timestamp = -1;
      int64_t offset = -1;
      int32_t leader_epoch = -1;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition_index", m.partition_index);
        field("error_code", m.error_code);
        field("timestamp", m.timestamp);
        field("offset", m.offset);
        field("leader_epoch", m.leader_epoch, Since(4));
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

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  bool operator==(const ListOffsetsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(2));
    field("topics", m.topics);
  }
};

}  // namespace selvage::kafka
