#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "fabric/kafka/handlers/context.h"
#include "fabric/kafka/handlers/topic_configs.h"

/// What the config APIs are about: a topic, or the one broker.
namespace selvage::kafka {

inline constexpr int8_t kTopicResource = 2;
inline constexpr int8_t kBrokerResource = 4;

/// OK for topics and for broker 0 (by its number, or an empty name for all brokers). Error:
/// "invalid_request".
absl::Status CheckResource(int8_t type, const std::string& name);

/// Changes the settings of a topic, in this order; with `reset_first`, all others become what a new topic
/// has. What brokers have is in the daemon's configuration file: "broker_config". Errors besides: those of
/// ApplyConfigs and of Topics::Set.
absl::Status AlterResource(Context& context, int8_t type, const std::string& name,
                           const std::vector<ConfigChange>& changes, bool reset_first, bool validate_only);

}  // namespace selvage::kafka
