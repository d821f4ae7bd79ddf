#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "fabric/config/daemon_config.h"
#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/fetch_sessions.h"
#include "fabric/kafka/handlers/producer_ids.h"
#include "fabric/kafka/handlers/refused_batches.h"
#include "fabric/kafka/listener/listener.h"
#include "fabric/node/node_state.h"

namespace selvage::kafka {

/// A daemon's Kafka side: the listener and what its handlers share. With `kafka.listen: off` it serves
/// nobody. Make it before the store and stop it while the store is open: callbacks of the committer may come
/// until the store is gone.
class KafkaService {
 public:
  /// Connections that a daemon serves where nothing else limits them.
  static constexpr size_t kConnectionsMax = 10'000;

  /// Binds; serves so many connections at a time. Errors: those of Listener::Bind.
  static absl::StatusOr<std::unique_ptr<KafkaService>> Bind(const DaemonConfig& config,
                                                            size_t connections_max = kConnectionsMax);

  /// Takes over the consumer groups that the node has; once, before Serve. `node` must live until Stop.
  /// Errors: those of the store.
  absl::Status Open(NodeState& node);
  /// After Open.
  GroupService& groups() { return *groups_; }
  /// Begins to serve; once, after Open. `cluster_id` tells clients that two addresses are of one cluster. The
  /// others must live until Stop.
  void Serve(std::string cluster_id, Topics& topics, NodeState& node, Metrics& metrics);
  /// Cuts all connections; afterwards no handler runs.
  void Stop();
  /// 0 when there is no listener.
  uint16_t port() const { return listener_ == nullptr ? 0 : listener_->port(); }

 private:
  KafkaService(const DaemonConfig& config, std::unique_ptr<Listener> listener);

  Settings settings_;
  std::unique_ptr<Listener> listener_;
  std::optional<GroupService> groups_;
  std::optional<GroupTimer> group_timer_;
  std::optional<FetchSessions> fetch_sessions_;
  std::optional<ProducerIds> producer_ids_;
  std::optional<RefusedBatches> refused_batches_;
  std::optional<LazyThreads> blocking_;
  std::optional<Context> context_;
};

}  // namespace selvage::kafka
