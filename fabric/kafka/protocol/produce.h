#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/base/bytes.h"
#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"
#include "fabric/kafka/protocol/leader.h"

namespace selvage::kafka {

/// Record batches to append.
struct ProduceRequest {
  static constexpr ApiKey kApi = ApiKey::kProduce;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    struct Partition {
      int32_t index = 0;
      std::optional<Bytes> records;  ///< null is not the same as empty

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("index", m.index);
        field.Records("records", m.records);
      }
    };

    std::string name;
    std::vector<Partition> partition_data;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("partition_data", m.partition_data);
    }
  };

  std::optional<std::string> transactional_id;
  int16_t acks = 0;  ///< 0: none; 1: of the leader; -1: of all replicas in sync
  int32_t timeout_ms = 0;
  std::vector<Topic> topic_data;

  bool operator==(const ProduceRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("transactional_id", m.transactional_id);
    field("acks", m.acks);
    field("timeout_ms", m.timeout_ms);
    field("topic_data", m.topic_data);
  }
};

/// Not sent at all when the request had acks 0.
struct ProduceResponse {
  static constexpr ApiKey kApi = ApiKey::kProduce;
  static constexpr Half kHalf = Half::kResponse;

  struct Topic {
    struct Partition {
      struct RecordError {
        int32_t batch_index = 0;
        std::optional<std::string> batch_index_error_message;

        bool operator==(const RecordError&) const = default;
        static void Fields(auto& field, auto& m) {
          field("batch_index", m.batch_index);
          field("batch_index_error_message", m.batch_index_error_message);
        }
      };

      int32_t index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      int64_t base_offset = 0;
      int64_t log_append_time_ms = -1;  ///< -1 when the producer's times were kept
      int64_t log_start_offset = -1;
      std::vector<RecordError> record_errors;
      std::optional<std::string> error_message;
      LeaderIdAndEpoch current_leader;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("index", m.index);
        field("error_code", m.error_code);
        field("base_offset", m.base_offset);
        field("log_append_time_ms", m.log_append_time_ms);
        field("log_start_offset", m.log_start_offset, Since(5));
        field("record_errors", m.record_errors, Since(8));
        field("error_message", m.error_message, Since(8));
        field.Tagged(0, "current_leader", m.current_leader, {}, Since(10));
      }
    };

    std::string name;
    std::vector<Partition> partition_responses;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("partition_responses", m.partition_responses);
    }
  };

  std::vector<Topic> responses;
  int32_t throttle_time_ms = 0;
  std::vector<NodeEndpoint> node_endpoints;

  bool operator==(const ProduceResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("responses", m.responses);
    field("throttle_time_ms", m.throttle_time_ms);
    field.Tagged(0, "node_endpoints", m.node_endpoints, {}, Since(10));
  }
};

}  // namespace selvage::kafka
