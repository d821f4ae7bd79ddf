#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "fabric/kafka/handlers/context.h"
#include "selvage/v1/stream.pb.h"

/// Kafka's names for the settings of a topic, and ours: one table for reading, for writing and for
/// docs/kafka.md.
namespace selvage::kafka {

/// As in DescribeConfigs.
enum class ConfigType : int8_t { kBoolean = 1, kString = 2, kInt = 3, kLong = 5, kDouble = 6, kList = 7 };

struct TopicConfig {
  enum class Use {
    kSettable,  ///< any time
    kAtCreate,  ///< when the topic is made; immutable from then on
    kFixed,     ///< only the value that it has is taken
    kIgnored,   ///< anything is taken, without effect: it tunes what is built differently here
  };
  std::string_view name;
  ConfigType type;
  Use use;
  std::string_view help;  ///< one sentence
  std::string (*get)(const v1::StreamDefinition& definition, const Settings& node);
  /// Error: "invalid_config", saying what is allowed. Null unless it has an effect.
  absl::Status (*set)(std::string_view value, v1::StreamDefinition& definition);
};

/// By name.
std::span<const TopicConfig> TopicConfigs();
/// Null for a name that there is not.
const TopicConfig* FindTopicConfig(std::string_view name);

using ConfigChange = std::pair<std::string, std::string>;  ///< name and value

/// Applies settings to a definition. With `creating` false, the immutable ones must be what they are. Errors:
/// "invalid_config", "immutable".
absl::Status ApplyConfigs(const std::vector<ConfigChange>& changes, bool creating, const Settings& node,
                          v1::StreamDefinition& definition);

/// The value that a topic has of which nobody set it, in the same stream.
std::string DefaultOf(const TopicConfig& config, const v1::StreamDefinition& definition,
                      const Settings& node);

}  // namespace selvage::kafka
