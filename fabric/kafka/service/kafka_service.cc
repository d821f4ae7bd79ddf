#include "fabric/kafka/service/kafka_service.h"

#include <utility>

#include "fabric/base/error.h"

namespace selvage::kafka {
namespace {

/// For calls that wait for the disk: changes of topics and settings, new producer ids, queries by time. The
/// last may read a good part of a log, and the others are not to wait for it.
constexpr size_t kBlockingThreads = 4;

}  // namespace

absl::StatusOr<std::unique_ptr<KafkaService>> KafkaService::Bind(const DaemonConfig& config,
                                                                 size_t connections_max) {
  std::unique_ptr<Listener> listener;
  if (!config.kafka.listen.empty()) {
    Listener::Options options;
    options.host = config.kafka.listen.host;
    options.port = config.kafka.listen.port;
    options.connections_max = connections_max;
    if (config.kafka.tls) options.tls = TlsFiles{config.tls.cert, config.tls.key, config.tls.ca};
    SELVAGE_ASSIGN_OR_RETURN(listener, Listener::Bind(std::move(options)));
  }
  return std::unique_ptr<KafkaService>(new KafkaService(config, std::move(listener)));
}

KafkaService::KafkaService(const DaemonConfig& config, std::unique_ptr<Listener> listener)
    : listener_(std::move(listener)) {
  const Address& advertised = config.kafka.advertise.empty() ? config.kafka.listen : config.kafka.advertise;
  // A name may mean ::1 to a client while only 127.0.0.1 is listened on.
  settings_.host = advertised.host == "localhost" ? "127.0.0.1" : advertised.host;
  settings_.port = config.kafka.advertise.empty() ? port() : advertised.port;
  settings_.auto_create = config.kafka.auto_create;
  settings_.partitions = static_cast<int32_t>(config.kafka.partitions);
  settings_.batch_max = config.batch_max_bytes;
}

absl::Status KafkaService::Open(NodeState& node) {
  groups_.emplace(GroupService::PartsOf(node));
  return groups_->Open();
}

void KafkaService::Serve(std::string cluster_id, Topics& topics, NodeState& node, Metrics& metrics) {
  group_timer_.emplace(*groups_);
  if (listener_ == nullptr) return;
  settings_.cluster_id = std::move(cluster_id);
  fetch_sessions_.emplace();
  producer_ids_.emplace(node.store(), node.committer(), node.random());
  refused_batches_.emplace(SystemClock());
  blocking_.emplace(kBlockingThreads);
  context_.emplace(Context{settings_, topics, node.streams(), node.committer(), node.budget(), metrics,
                           *fetch_sessions_, *groups_, *producer_ids_, *refused_batches_, *blocking_});
  listener_->Serve(*context_);
}

void KafkaService::Stop() {
  // Answers what is parked, while the connections are there to answer on.
  group_timer_.reset();
  if (listener_ == nullptr) return;
  listener_->Stop();
  if (blocking_) blocking_->Join();
  // What clients fetched refers to logs.
  fetch_sessions_.reset();
}

}  // namespace selvage::kafka
