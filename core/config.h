#pragma once

#include <string>
#include <string_view>

#include "fabric/config/daemon_config.h"
#include "fabric/config/reference.h"

namespace selvage {

struct CoreLinkConfig {
  Address listen;  ///< for edges and for selvagectl
  absl::Duration heartbeat;
  absl::Duration timeout;
  uint64_t receive_window = 0;  ///< bytes, for each edge
  uint32_t max_links = 0;
};

struct CoreModelsConfig {
  std::string rollout_key;  ///< file; empty: no rollouts
};

struct CoreConfig : DaemonConfig {
  CoreLinkConfig link;
  uint32_t slots_ahead = 0;
  CoreModelsConfig models;
};

/// Every setting at its default, the required ones empty.
CoreConfig DefaultCoreConfig();
/// Reads YAML; `file` is the name shown in errors. Errors: "bad_config", which lists every problem with its
/// place.
absl::StatusOr<CoreConfig> ParseCoreConfig(std::string_view yaml, const std::string& file);
/// Reads a file. Errors: those of ParseCoreConfig and "config_unreadable".
absl::StatusOr<CoreConfig> LoadCoreConfig(const std::string& path);
/// A complete, commented file with the defaults.
std::string SampleCoreConfig();
/// The daemon's part of docs/configuration.md, rendered.
std::string CoreConfigReference();

}  // namespace selvage
