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

/// Topics to delete: by name up to version 5, by name or id from version 6 on.
struct DeleteTopicsRequest {
  static constexpr ApiKey kApi = ApiKey::kDeleteTopics;
  static constexpr Half kHalf = Half::kRequest;

  struct Topic {
    std::optional<std::string> name;
    TopicId topic_id;

    bool operator==(const Topic&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("topic_id", m.topic_id);
    }
  };

  std::vector<Topic> topics;
  std::vector<std::string> topic_names;
  int32_t timeout_ms = 0;

  bool operator==(const DeleteTopicsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("topics", m.topics, Since(6));
    field("topic_names", m.topic_names, Until(5));
    field("timeout_ms", m.timeout_ms);
  }
};

/// An outcome for each topic.
struct DeleteTopicsResponse {
  static constexpr ApiKey kApi = ApiKey::kDeleteTopics;
  static constexpr Half kHalf = Half::kResponse;

  struct Result {
    std::optional<std::string> name;
    TopicId topic_id;
    ErrorCode error_code = ErrorCode::kNone;
    std::optional<std::string> error_message;

    bool operator==(const Result&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name, Versions{}.NullSince(6));
      field("topic_id", m.topic_id, Since(6));
      field("error_code", m.error_code);
      field("error_message", m.error_message, Since(5));
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Result> responses;

  bool operator==(const DeleteTopicsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("responses", m.responses);
  }
};

}  // namespace selvage::kafka
