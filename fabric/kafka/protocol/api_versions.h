#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks which versions are served. The first request of most clients.
struct ApiVersionsRequest {
  static constexpr ApiKey kApi = ApiKey::kApiVersions;
  static constexpr Half kHalf = Half::kRequest;

  std::string client_software_name;
  std::string client_software_version;

  bool operator==(const ApiVersionsRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("client_software_name", m.client_software_name, Since(3));
    field("client_software_version", m.client_software_version, Since(3));
  }
};

/// The versions that are served. Its header is that of version 0 in all versions.
struct ApiVersionsResponse {
  static constexpr ApiKey kApi = ApiKey::kApiVersions;
  static constexpr Half kHalf = Half::kResponse;

  struct Version {
    int16_t api_key = 0;
    int16_t min_version = 0;
    int16_t max_version = 0;

    bool operator==(const Version&) const = default;
    static void Fields(auto& field, auto& m) {
      field("api_key", m.api_key);
      field("min_version", m.min_version);
      field("max_version", m.max_version);
    }
  };

  struct SupportedFeature {
    std::string name;
    int16_t min_version = 0;
    int16_t max_version = 0;

    bool operator==(const SupportedFeature&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("min_version", m.min_version);
      field("max_version", m.max_version);
    }
  };

  struct FinalizedFeature {
    std::string name;
    int16_t max_version_level = 0;
    int16_t min_version_level = 0;

    bool operator==(const FinalizedFeature&) const = default;
    static void Fields(auto& field, auto& m) {
      field("name", m.name);
      field("max_version_level", m.max_version_level);
      field("min_version_level", m.min_version_level);
    }
  };

  ErrorCode error_code = ErrorCode::kNone;
  std::vector<Version> api_keys;
  int32_t throttle_time_ms = 0;
  std::vector<SupportedFeature> supported_features;
  int64_t finalized_features_epoch = -1;
  std::vector<FinalizedFeature> finalized_features;
  bool zk_migration_ready = false;

  bool operator==(const ApiVersionsResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("error_code", m.error_code);
    field("api_keys", m.api_keys);
    field("throttle_time_ms", m.throttle_time_ms, Since(1));
    field.Tagged(0, "supported_features", m.supported_features, {}, Since(3));
    field.Tagged(1, "finalized_features_epoch", m.finalized_features_epoch, -1, Since(3));
    field.Tagged(2, "finalized_features", m.finalized_features, {}, Since(3));
    field.Tagged(3, "zk_migration_ready", m.zk_migration_ready, false, Since(3));
  }
};

/// What answers an ApiVersions request of a version that is not served, from `min` to `max`: to be sent as
/// version 0, whatever was asked, so that the client can ask again.
ApiVersionsResponse UnservedApiVersions(int16_t min, int16_t max);

}  // namespace selvage::kafka
