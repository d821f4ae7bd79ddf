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

/// Topics to create.
struct CreateTopicsRequest {
  static constexpr ApiKey kApi = ApiKey::kCreateTopics;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    struct Assignment {
      int32_t partition_index = 0;
      std::vector<int32_t> broker_ids;

      bool operator==(const Assignment&) const = default;
      static void Fields(auto& field, auto& m) {
        field("partition_index", m.partition_index);
        field("broker_ids", m.broker_ids);
      }
    };

    struct Config {
      std::string name;
      std::optional<std::string> value;

      bool operator==(const Config&) const = default;
      static void Fields(auto& field, auto& m) {
        field("name", m.name);
        field("value", m.value);
      }
    };

    std::string name;
    int32_t num_partitions = 0;      ///< -1: the default
    int16_t replication_factor = 0;  ///< -1: the default
    std::vector<Assignment> assignments;
    std::vector<Config> configs;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("num_partitions", m.num_partitions);
      field("replication_factor", m.replication_factor);
      field("assignments", m.assignments);
      field("configs", m.configs);
    }
  };

  std::vector<Topic> topics;
  int32_t timeout_ms = 60000;
  bool validate_only = false;

  bool operator==(const CreateTopicsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("topics", m.topics);
    field("timeout_ms", m.timeout_ms);
    field("validate_only", m.validate_only);
  }
};

/// An outcome for each topic.
struct CreateTopicsResponse {
  static constexpr ApiKey kApi = ApiKey::kCreateTopics;
  static constexpr Half kHalf = Half::kResponse;

  struct Topic {
    struct Config {
      std::string name;
      std::optional<std::string> value;
      bool read_only = false;
      int8_t config_source = -1;  ///< 1: of the topic; 4: of the configuration file; 5: default
      bool is_sensitive = false;

      bool operator==(const Config&) const = default;
      static void Fields(auto& field, auto& m) {
        field("name", m.name);
        field("value", m.value);
        field("read_only", m.read_only);
        field("config_source", m.config_source);
        field("is_sensitive", m.is_sensitive);
      }
    };

    std::string name;
    TopicId topic_id;
    ErrorCode error_code = ErrorCode::kNone;
    std::optional<std::string> error_message;
    int32_t num_partitions = -1;
    int16_t replication_factor = -1;
    std::optional<std::vector<Config>> configs;
    ErrorCode topic_config_error_code = ErrorCode::kNone;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("topic_id", m.topic_id, Since(7));
      field("error_code", m.error_code);
      field("error_message", m.error_message);
      field("num_partitions", m.num_partitions, Since(5));
      field("replication_factor", m.replication_factor, Since(5));
      field("configs", m.configs, Since(5));
      field.Tagged(0, "topic_config_error_code", m.topic_config_error_code, ErrorCode::kNone, Since(5));
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  bool operator==(const CreateTopicsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("topics", m.topics);
  }
};

}  // namespace selvage::kafka
