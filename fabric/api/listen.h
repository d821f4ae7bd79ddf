#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "fabric/api/server.h"
#include "fabric/config/daemon_config.h"

namespace selvage::api {

/// Connections that a daemon serves over HTTP where nothing else limits them; none with `api.listen: off`.
size_t WantedConnections(const ApiConfig& config);

/// The server of a daemon; null with `api.listen: off`. It serves so many connections at a time. Stop it
/// while the store is open. Errors: those of Server::Bind.
absl::StatusOr<std::unique_ptr<Server>> BindServer(const DaemonConfig& config, size_t connections_max);

}  // namespace selvage::api
