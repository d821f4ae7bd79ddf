#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks for the settings of topics and brokers.
struct DescribeConfigsRequest {
  static constexpr ApiKey kApi = ApiKey::kDescribeConfigs;
  static constexpr Half kHalf = Half::kRequest;

  struct Resource {
    int8_t resource_type = 0;  ///< 2: topic; 4: broker
    std::string resource_name;
    std::optional<std::vector<std::string>> configuration_keys;  ///< null: all

    bool operator==(const Resource&) const = default;
    static void Fields(auto& field, auto& m) {
      field("resource_type", m.resource_type);
      field("resource_name", m.resource_name);
      field("configuration_keys", m.configuration_keys);
    }
  };

  std::vector<Resource> resources;
  bool include_synonyms = false;
  bool include_documentation = false;

  bool operator==(const DescribeConfigsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("resources", m.resources);
    field("include_synonyms", m.include_synonyms);
    field("include_documentation", m.include_documentation, Since(3));
  }
};

/// Settings with where they come from.
struct DescribeConfigsResponse {
  static constexpr ApiKey kApi = ApiKey::kDescribeConfigs;
  static constexpr Half kHalf = Half::kResponse;

  struct Result {
    struct Config {
      struct Synonym {
        std::string name;
        std::optional<std::string> value;
        int8_t source = 0;

        bool operator==(const Synonym&) const = default;
        static void Fields(auto& field, auto& m) {
          field("name", m.name);
          field("value", m.value);
          field("source", m.source);
        }
      };

      std::string name;
      std::optional<std::string> value;
      bool read_only = false;
      int8_t config_source = -1;  ///< 1: of the topic; 4: of the configuration file; 5: default
      bool is_sensitive = false;
      std::vector<Synonym> synonyms;
      int8_t config_type = 0;
      std::optional<std::string> documentation;

      bool operator==(const Config&) const = default;
      static void Fields(auto& field, auto& m) {
        field("name", m.name);
        field("value", m.value);
        field("read_only", m.read_only);
        field("config_source", m.config_source);
        field("is_sensitive", m.is_sensitive);
        field("synonyms", m.synonyms);
        field("config_type", m.config_type, Since(3));
        field("documentation", m.documentation, Since(3));
      }
    };

    ErrorCode error_code = ErrorCode::kNone;
    std::optional<std::string> error_message;
    int8_t resource_type = 0;  ///< 2: topic; 4: broker
    std::string resource_name;
    std::vector<Config> configs;

    bool operator==(const Result&) const = default;
    static void Fields(auto& field, auto& m) {
      field("error_code", m.error_code);
      field("error_message", m.error_message);
      field("resource_type", m.resource_type);
      field("resource_name", m.resource_name);
      field("configs", m.configs);
    }
  };

  int32_t throttle_time_ms = 0;
  std::vector<Result> results;

  bool operator==(const DescribeConfigsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("results", m.results);
  }
};

}  // namespace selvage::kafka
