#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/error_code.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Asks for the brokers without any topic.
struct DescribeClusterRequest {
  static constexpr ApiKey kApi = ApiKey::kDescribeCluster;
  static constexpr Half kHalf = Half::kRequest;

  bool include_cluster_authorized_operations = false;
  int8_t endpoint_type = 1;  ///< 1: brokers; 2: controllers
  bool include_fenced_brokers = false;

  bool operator==(const DescribeClusterRequest&) const = default;
  static void Fields(auto& field, auto& m) {
    field("include_cluster_authorized_operations", m.include_cluster_authorized_operations);
    field("endpoint_type", m.endpoint_type, Since(1));
    field("include_fenced_brokers", m.include_fenced_brokers, Since(2));
  }
};

/// The brokers and which of them is the controller.
struct DescribeClusterResponse {
  static constexpr ApiKey kApi = ApiKey::kDescribeCluster;
  static constexpr Half kHalf = Half::kResponse;

  struct Broker {
    int32_t broker_id = 0;
    std::string host;
    int32_t port = 0;
    std::optional<std::string> rack;
    bool is_fenced = false;

    bool operator==(const Broker&) const = default;
    static void Fields(auto& field, auto& m) {
      field("broker_id", m.broker_id);
      field("host", m.host);
      field("port", m.port);
      field("rack", m.rack);
      field("is_fenced", m.is_fenced, Since(2));
    }
  };

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  std::optional<std::string> error_message;
  int8_t endpoint_type = 1;
  std::string cluster_id;
  int32_t controller_id = -1;
  std::vector<Broker> brokers;
  int32_t cluster_authorized_operations = INT32_MIN;  ///< bits; INT32_MIN when not asked for

  bool operator==(const DescribeClusterResponse&) const = default;
  static void Fields(auto& field, auto& m) {
    field("throttle_time_ms", m.throttle_time_ms);
    field("error_code", m.error_code);
    field("error_message", m.error_message);
    field("endpoint_type", m.endpoint_type, Since(1));
    field("cluster_id", m.cluster_id);
    field("controller_id", m.controller_id);
    field("brokers", m.brokers);
    field("cluster_authorized_operations", m.cluster_authorized_operations);
  }
};

}  // namespace selvage::kafka
