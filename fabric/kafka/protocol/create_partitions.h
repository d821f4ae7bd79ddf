#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Adds partitions to topics.
struct CreatePartitionsRequest {
  static constexpr ApiKey kApi = ApiKey::kCreatePartitions;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    struct Assignment {
      std::vector<int32_t> broker_ids;

      bool operator==(const Assignment&) const = default;
      static void Fields(auto& field, auto& m) { field("broker_ids", m.broker_ids); }
    };

    std::string name;
    int32_t count = 0;  ///< how many there shall be
    std::optional<std::vector<Assignment>> assignments;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("count", m.count);
      field("assignments", m.assignments);
    }
  };

  std::vector<Topic> topics;
  int32_t timeout_ms = 0;
  bool validate_only = false;

  bool operator==(const CreatePartitionsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("topics", m.topics);
    field("timeout_ms", m.timeout_ms);
    field("validate_only", m.validate_only);
  }
};

/// An outcome for each topic.
struct CreatePartitionsResponse {
  static constexpr ApiKey kApi = ApiKey::kCreatePartitions;
  static constexpr Half kHalf = Half::kResponse;

  struct Result {
    std::string name;
    ErrorCode error_code = ErrorCode::kNone;
    std::optional<std::string> error_message;

    bool operator==(const Result&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("error_code", m.error_code);
      field("error_message", m.error_message);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Result> results;

  bool operator==(const CreatePartitionsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("results", m.results);
  }
};

}  // namespace selvage::kafka
