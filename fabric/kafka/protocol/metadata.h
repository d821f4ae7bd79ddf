#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/base/id128.h"
#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks for brokers and topics.
struct MetadataRequest {
  static constexpr ApiKey kApi = ApiKey::kMetadata;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    TopicId topic_id;
    std::optional<std::string> name;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("topic_id", m.topic_id, Since(10));
      field("name", m.name, Versions{}.NullSince(10));
    }
  };

  std::optional<std::vector<Topic>> topics;  ///< null: all; empty: none, but all in version 0
  bool allow_auto_topic_creation = true;
  bool include_cluster_authorized_operations = false;
  bool include_topic_authorized_operations = false;

  bool operator==(const MetadataRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("topics", m.topics, Versions{}.NullSince(1));
    field("allow_auto_topic_creation", m.allow_auto_topic_creation, Since(4));
    field("include_cluster_authorized_operations", m.include_cluster_authorized_operations, Between(8, 10));
    field("include_topic_authorized_operations", m.include_topic_authorized_operations, Since(8));
  }
};

/// The brokers, and the topics with the leaders of their partitions.
struct MetadataResponse {
  static constexpr ApiKey kApi = ApiKey::kMetadata;
  static constexpr Half kHalf = Half::kResponse;

  struct Broker {
    int32_t node_id = 0;
    std::string host;
    int32_t port = 0;
    std::optional<std::string> rack;

    bool operator==(const Broker&) const = default;
    static void Fields(auto& field, auto& m) {
      field("node_id", m.node_id);
      field("host", m.host);
      field("port", m.port);
      field("rack", m.rack, Since(1));
    }
  };

  struct Topic {
    struct Partition {
      ErrorCode error_code = ErrorCode::kNone;
      int32_t partition_index = 0;
      int32_t leader_id = 0;
      int32_t leader_epoch = -1;
      std::vector<int32_t> replica_nodes;
      std::vector<int32_t> isr_nodes;
      std::vector<int32_t> offline_replicas;

      bool operator==(const Partition&) const = default;
      static void Fields(auto& field, auto& m) {
        field("error_code", m.error_code);
        field("partition_index", m.partition_index);
        field("leader_id", m.leader_id);
        field("leader_epoch", m.leader_epoch, Since(7));
        field("replica_nodes", m.replica_nodes);
        field("isr_nodes", m.isr_nodes);
        field("offline_replicas", m.offline_replicas, Since(5));
      }
    };

    ErrorCode error_code = ErrorCode::kNone;
    std::optional<std::string> name;
    TopicId topic_id;
    bool is_internal = false;
    std::vector<Partition> partitions;
    int32_t topic_authorized_operations = INT32_MIN;  ///< bits; INT32_MIN when not asked for

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("error_code", m.error_code);
      field("name", m.name, Versions{}.NullSince(12));
      field("topic_id", m.topic_id, Since(10));
      field("is_internal", m.is_internal, Since(1));
      field("partitions", m.partitions);
      field("topic_authorized_operations", m.topic_authorized_operations, Since(8));
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Broker> brokers;
  std::optional<std::string> cluster_id;
  int32_t controller_id = -1;
  std::vector<Topic> topics;
  int32_t cluster_authorized_operations = INT32_MIN;  ///< bits; INT32_MIN when not asked for
  ErrorCode error_code = ErrorCode::kNone;

  bool operator==(const MetadataResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms, Since(3));
    field("brokers", m.brokers);
    field("cluster_id", m.cluster_id, Since(2));
    field("controller_id", m.controller_id, Since(1));
    field("topics", m.topics);
    field("cluster_authorized_operations", m.cluster_authorized_operations, Between(8, 10));
    field("error_code", m.error_code, Since(13));
  }
};

}  // namespace selvage::kafka
