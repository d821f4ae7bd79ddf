#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Replaces all settings of topics and brokers.
struct AlterConfigsRequest {
  static constexpr ApiKey kApi = ApiKey::kAlterConfigs;
  static constexpr Half kHalf = Half::kRequest;

  struct Resource {
    struct Config {
      std::string name;
      std::optional<std::string> value;

      bool operator==(const Config&) const = default;
      static void Fields(auto& field, auto& m) {
        field("name", m.name);
        field("value", m.value);
      }
    };

    int8_t resource_type = 0;  ///< 2: topic; 4: broker
    std::string resource_name;
    std::vector<Config> configs;

    bool operator==(const Resource&) const = default;
    static void Fields(auto& field, auto& m) {
      field("resource_type", m.resource_type);
      field("resource_name", m.resource_name);
      field("configs", m.configs);
    }
  };

  std::vector<Resource> resources;
  bool validate_only = false;

  bool operator==(const AlterConfigsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("resources", m.resources);
    field("validate_only", m.validate_only);
  }
};

/// An outcome for each resource.
struct AlterConfigsResponse {
  static constexpr ApiKey kApi = ApiKey::kAlterConfigs;
  static constexpr Half kHalf = Half::kResponse;

  struct Result {
    ErrorCode error_code = ErrorCode::kNone;
    std::optional<std::string> error_message;
    int8_t resource_type = 0;  ///< 2: topic; 4: broker
    std::string resource_name;

    bool operator==(const Result&) const = default;
    static void Fields(auto& field, auto& m) {
      field("error_code", m.error_code);
      field("error_message", m.error_message);
      field("resource_type", m.resource_type);
      field("resource_name", m.resource_name);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Result> responses;

  bool operator==(const AlterConfigsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("responses", m.responses);
  }
};

}  // namespace selvage::kafka
