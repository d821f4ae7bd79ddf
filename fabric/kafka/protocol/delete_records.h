#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Moves the start of logs forward.
struct DeleteRecordsRequest {
  static constexpr ApiKey kApi = ApiKey::kDeleteRecords;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int64_t offset = 0;  ///< -1: the high watermark

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition_index", m.partition_index);
        field("offset", m.offset);
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

  std::vector<Topic> topics;
  int32_t timeout_ms = 0;

  bool operator==(const DeleteRecordsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("topics", m.topics);
    field("timeout_ms", m.timeout_ms);
  }
};

/// Where the logs start now.
struct DeleteRecordsResponse {
  static constexpr ApiKey kApi = ApiKey::kDeleteRecords;
  static constexpr Half kHalf = Half::kResponse;

  struct Topic {
    struct Partition {
      int32_t partition_index = 0;
      int64_t low_watermark = 0;
      ErrorCode error_code = ErrorCode::kNone;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition_index", m.partition_index);
        field("low_watermark", m.low_watermark);
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

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  bool operator==(const DeleteRecordsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("topics", m.topics);
  }
};

}  // namespace selvage::kafka
