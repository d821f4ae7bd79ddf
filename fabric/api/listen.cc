#include "fabric/api/listen.h"

#include <utility>

namespace selvage::api {

size_t WantedConnections(const ApiConfig& config) {
  return config.listen.empty() ? 0 : Server::Options().connections_max;
}

absl::StatusOr<std::unique_ptr<Server>> BindServer(const DaemonConfig& config, size_t connections_max) {
  if (config.api.listen.empty()) return nullptr;
  Server::Options options;
  options.host = config.api.listen.host;
  options.port = config.api.listen.port;
  options.connections_max = connections_max;
  if (config.api.tls) options.tls = TlsFiles{config.tls.cert, config.tls.key, config.tls.ca};
  return Server::Bind(std::move(options));
}

}  // namespace selvage::api
