#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks where leader epochs end.
struct OffsetForLeaderEpochRequest {
  static constexpr ApiKey kApi = ApiKey::kOffsetForLeaderEpoch;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    struct Partition {
      int32_t partition = 0;
      int32_t current_leader_epoch = -1;
      int32_t leader_epoch = 0;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition", m.partition);
        field("current_leader_epoch", m.current_leader_epoch);
        field("leader_epoch", m.leader_epoch);
      }
    };

    std::string topic;
    std::vector<Partition> partitions;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("topic", m.topic);
      field("partitions", m.partitions);
    }
  };

  int32_t replica_id = -2;
  std::vector<Topic> topics;

  bool operator==(const OffsetForLeaderEpochRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("replica_id", m.replica_id, Since(3));
    field("topics", m.topics);
  }
};

/// Epoch and offset -1 where the epoch is not known.
struct OffsetForLeaderEpochResponse {
  static constexpr ApiKey kApi = ApiKey::kOffsetForLeaderEpoch;
  static constexpr Half kHalf = Half::kResponse;

  struct Topic {
    struct Partition {
      ErrorCode error_code = ErrorCode::kNone;
      int32_t partition = 0;
      int32_t leader_epoch = -1;
      int64_t end_offset = -1;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("error_code", m.error_code);
        field("partition", m.partition);
        field("leader_epoch", m.leader_epoch);
        field("end_offset", m.end_offset);
      }
    };

    std::string topic;
    std::vector<Partition> partitions;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("topic", m.topic);
      field("partitions", m.partitions);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  bool operator==(const OffsetForLeaderEpochResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("topics", m.topics);
  }
};

}  // namespace selvage::kafka
