#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/base/bytes.h"
#include "fabric/base/id128.h"
#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"
#include "fabric/kafka/protocol/leader.h"

namespace selvage::kafka {

/// Asks for batches from given offsets on, and how long to wait for them.
struct FetchRequest {
  static constexpr ApiKey kApi = ApiKey::kFetch;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    struct Partition {
      int32_t partition = 0;
      int32_t current_leader_epoch = -1;
      int64_t fetch_offset = 0;
      int32_t last_fetched_epoch = -1;
      int64_t log_start_offset = -1;
      int32_t partition_max_bytes = 0;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition", m.partition);
        field("current_leader_epoch", m.current_leader_epoch, Since(9));
        field("fetch_offset", m.fetch_offset);
        field("last_fetched_epoch", m.last_fetched_epoch, Since(12));
        field("log_start_offset", m.log_start_offset, Since(5));
        field("partition_max_bytes", m.partition_max_bytes);
      }
    };

    std::string topic;
    TopicId topic_id;
    std::vector<Partition> partitions;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("topic", m.topic, Until(12));
      field("topic_id", m.topic_id, Since(13));
      field("partitions", m.partitions);
    }
  };

  /// What an incremental session drops.
  struct ForgottenTopic {
    std::string topic;
    TopicId topic_id;
    std::vector<int32_t> partitions;

    bool operator==(const ForgottenTopic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("topic", m.topic, Until(12));
      field("topic_id", m.topic_id, Since(13));
      field("partitions", m.partitions);
    }
  };

  /// Who fetches, when it is another broker.
  struct ReplicaState {
    int32_t replica_id = -1;  ///< -1 for a consumer
    int64_t replica_epoch = -1;

    bool operator==(const ReplicaState&) const = default;
    static void Fields(auto& field, auto& m) {
      field("replica_id", m.replica_id);
      field("replica_epoch", m.replica_epoch);
    }
  };

  int32_t replica_id = -1;  ///< -1 for a consumer
  int32_t max_wait_ms = 0;
  int32_t min_bytes = 0;
  int32_t max_bytes = INT32_MAX;
  int8_t isolation_level = 0;  ///< 0: all records; 1: committed transactions only
  int32_t session_id = 0;
  int32_t session_epoch = -1;  ///< 0 starts a session, -1 is for none
  std::vector<Topic> topics;
  std::vector<ForgottenTopic> forgotten_topics_data;
  std::string rack_id;
  std::optional<std::string> cluster_id;
  ReplicaState replica_state;

  bool operator==(const FetchRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("replica_id", m.replica_id, Until(14));
    field("max_wait_ms", m.max_wait_ms);
    field("min_bytes", m.min_bytes);
    field("max_bytes", m.max_bytes);
    field("isolation_level", m.isolation_level);
    field("session_id", m.session_id, Since(7));
    field("session_epoch", m.session_epoch, Since(7));
    field("topics", m.topics);
    field("forgotten_topics_data", m.forgotten_topics_data, Since(7));
    field("rack_id", m.rack_id, Since(11));
    field.Tagged(0, "cluster_id", m.cluster_id, {}, Since(12));
    field.Tagged(1, "replica_state", m.replica_state, {}, Since(15));
  }
};

/// Batches, as they are stored.
struct FetchResponse {
  static constexpr ApiKey kApi = ApiKey::kFetch;
  static constexpr Half kHalf = Half::kResponse;

  struct Topic {
    struct Partition {
      struct AbortedTransaction {
        int64_t producer_id = 0;
        int64_t first_offset = 0;

        bool operator==(const AbortedTransaction&) const = default;
        static void Fields(auto& field, auto& m) {
          field("producer_id", m.producer_id);
          field("first_offset", m.first_offset);
        }
      };

      /// The end of the last epoch that both have, when the histories differ.
      struct DivergingEpoch {
        int32_t epoch = -1;
        int64_t end_offset = -1;

        bool operator==(const DivergingEpoch&) const = default;
        static void Fields(auto& field, auto& m) {
          field("epoch", m.epoch);
          field("end_offset", m.end_offset);
        }
      };

      struct SnapshotId {
        int64_t end_offset = -1;
        int32_t epoch = -1;

        bool operator==(const SnapshotId&) const = default;
        static void Fields(auto& field, auto& m) {
          field("end_offset", m.end_offset);
          field("epoch", m.epoch);
        }
      };

      int32_t partition_index = 0;
      ErrorCode error_code = ErrorCode::kNone;
      int64_t high_watermark = 0;
      int64_t last_stable_offset = -1;
      int64_t log_start_offset = -1;
      std::optional<std::vector<AbortedTransaction>> aborted_transactions;
      int32_t preferred_read_replica = -1;
      std::vector<Bytes> records;  ///< batches one after another; empty is written as such and not as null
      DivergingEpoch diverging_epoch;
      LeaderIdAndEpoch current_leader;
      SnapshotId snapshot_id;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition_index", m.partition_index);
        field("error_code", m.error_code);
        field("high_watermark", m.high_watermark);
        field("last_stable_offset", m.last_stable_offset);
        field("log_start_offset", m.log_start_offset, Since(5));
        field("aborted_transactions", m.aborted_transactions);
        field("preferred_read_replica", m.preferred_read_replica, Since(11));
        field.Records("records", m.records);
        field.Tagged(0, "diverging_epoch", m.diverging_epoch, {}, Since(12));
        field.Tagged(1, "current_leader", m.current_leader, {}, Since(12));
        field.Tagged(2, "snapshot_id", m.snapshot_id, {}, Since(12));
      }
    };

    std::string topic;
    TopicId topic_id;
    std::vector<Partition> partitions;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("topic", m.topic, Until(12));
      field("topic_id", m.topic_id, Since(13));
      field("partitions", m.partitions);
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  int32_t session_id = 0;
  std::vector<Topic> responses;
  std::vector<NodeEndpoint> node_endpoints;

  bool operator==(const FetchResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("error_code", m.error_code, Since(7));
    field("session_id", m.session_id, Since(7));
    field("responses", m.responses);
    field.Tagged(0, "node_endpoints", m.node_endpoints, {}, Since(16));
  }
};

}  // namespace selvage::kafka
