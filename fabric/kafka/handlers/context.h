#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "fabric/kafka/handlers/topics.h"
#include "fabric/node/node_streams.h"
#include "fabric/process/lazy_threads.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/telemetry/metrics.h"

namespace selvage::kafka {

class FetchSessions;
class GroupService;
class ProducerIds;
class RefusedBatches;

/// What the listener is set up with, as far as handlers need it.
struct Settings {
  std::string host;            ///< that clients are told to connect to
  int32_t port = 0;            ///< likewise
  std::string cluster_id;      ///< of the Kafka cluster that the node is by itself
  bool auto_create = true;     ///< a topic that a client names is made
  int32_t partitions = 1;      ///< of a topic of which the client does not say how many
  size_t batch_max = 1048588;  ///< bytes of one record batch
};

/// The one broker that a client sees of a node.
inline constexpr int32_t kNodeId = 0;

/// What all handlers share; outlives every call. Safe to use from several threads.
struct Context {
  const Settings settings;
  Topics& topics;
  NodeStreams& streams;
  Committer& committer;
  const DiskBudget& budget;
  Metrics& metrics;
  FetchSessions& fetch_sessions;
  GroupService& groups;
  ProducerIds& producer_ids;
  RefusedBatches& refused_batches;
  LazyThreads& blocking;  ///< where handlers may wait for the disk
};

}  // namespace selvage::kafka
