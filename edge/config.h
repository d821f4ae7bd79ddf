#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fabric/config/daemon_config.h"
#include "fabric/config/reference.h"
#include "fabric/security/authorizer.h"

namespace selvage {

struct EdgeLinkConfig {
  std::vector<Address> addresses;  ///< of the core; at least one
  Address proxy;                   ///< HTTP CONNECT proxy; empty: none
  uint64_t max_rate = 0;           ///< bytes per second; 0: no limit
  absl::Duration heartbeat;
  absl::Duration timeout;
  absl::Duration backoff_min;
  absl::Duration backoff_max;
  uint64_t receive_window = 0;  ///< bytes
  OverLink calls = OverLink::kRead;
};

struct EdgeModelsConfig {
  std::string root;  ///< digest of the root that is pinned, in hexadecimal digits; empty: models are refused
  uint64_t quota = 0;  ///< bytes; 0: no limit of its own
  std::string gate_command;
  std::string gate_http;
  absl::Duration gate_timeout;
  std::string hook;
};

struct EdgeConfig : DaemonConfig {
  EdgeLinkConfig link;
  EdgeModelsConfig models;
  Address admin_listen;
};

/// Every setting at its default, the required ones empty.
EdgeConfig DefaultEdgeConfig();
/// Reads YAML; `file` is the name shown in errors. Errors: "bad_config", which lists every problem with its
/// place.
absl::StatusOr<EdgeConfig> ParseEdgeConfig(std::string_view yaml, const std::string& file);
/// Reads a file. Errors: those of ParseEdgeConfig and "config_unreadable".
absl::StatusOr<EdgeConfig> LoadEdgeConfig(const std::string& path);
/// A complete, commented file with the defaults.
std::string SampleEdgeConfig();
/// The daemon's part of docs/configuration.md, rendered.
std::string EdgeConfigReference();

}  // namespace selvage
