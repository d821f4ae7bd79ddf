#include "core/node.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/core_admin.h"
#include "core/core_topics.h"
#include "core/fleet.h"
#include "core/peer_link.h"
#include "core/rollout_metrics.h"
#include "core/rollouts_service.h"
#include "fabric/admin/admin_service.h"
#include "fabric/admin/models_service.h"
#include "fabric/admin/node_metrics.h"
#include "fabric/admin/tables_service.h"
#include "fabric/admin/views_service.h"
#include "fabric/api/listen.h"
#include "fabric/api/table_service.h"
#include "fabric/base/error.h"
#include "fabric/daemon/node_certificate.h"
#include "fabric/daemon/node_store.h"
#include "fabric/daemon/shutdown.h"
#include "fabric/daemon/stream_config.h"
#include "fabric/kafka/group/stored.h"
#include "fabric/kafka/group_admin/group_admin.h"
#include "fabric/kafka/group_admin/group_metrics.h"
#include "fabric/kafka/service/kafka_service.h"
#include "fabric/model/model_registry.h"
#include "fabric/process/descriptors.h"
#include "fabric/process/limits.h"
#include "fabric/security/authorizer.h"
#include "fabric/security/credentials.h"
#include "fabric/telemetry/build_info.h"
#include "fabric/telemetry/health.h"
#include "fabric/telemetry/http_endpoint.h"
#include "fabric/telemetry/log.h"
#include "fabric/telemetry/metrics.h"
#include "fabric/transport/grpc_server.h"
#include "fabric/transport/library_log.h"
#include "fabric/transport/link_server.h"

namespace selvage {
namespace {

constexpr absl::Duration kStopDeadline = absl::Seconds(3);
/// That a daemon starts by and by, its own and those of the libraries, with some to spare.
constexpr size_t kThreads = 40;
constexpr absl::Duration kFlushEvery = absl::Seconds(10);
constexpr absl::Duration kDriveEvery = absl::Seconds(2);
constexpr size_t kErrandThreads = 4;

DescriptorWants WantsOf(const CoreConfig& config) {
  return {.kafka = config.kafka.listen.empty() ? 0 : kafka::KafkaService::kConnectionsMax,
          .links = config.link.max_links,
          .api = api::WantedConnections(config.api)};
}

NodeStore::Options StoreOptions(const CoreConfig& config, const DescriptorShares& descriptors,
                                Shutdown& shutdown, Health& health) {
  NodeStore::Options options;
  options.data_dir = config.data_dir;
  options.write_buffer_bytes = config.storage.write_buffer;
  options.block_cache_bytes = config.storage.block_cache;
  options.max_open_files = descriptors.store_files;
  options.state.node = config.node_id;
  options.state.take_store_of = config.take_store_of;
  options.state.is_edge = false;
  options.state.tail_cache_bytes = config.storage.tail_cache;
  options.state.batch_max = config.batch_max_bytes;
  options.state.disk = {config.storage.budget, config.storage.reserve};
  options.state.commit.group_bytes_max = config.storage.commit_group_max;
  options.state.commit.queue_bytes_max = config.storage.commit_queue_max;
  options.group_of = kafka::group::GroupOf;
  options.on_failure = [&shutdown, &health](const absl::Status& why) {
    health.SetFailed(why);
    shutdown.Fail(Annotate(why, "the store failed"));
  };
  return options;
}

LinkServer::Options LinkOptions(const CoreConfig& config, const DescriptorShares& descriptors,
                                NodeCertificate& certificate) {
  LinkServer::Options options;
  options.trust_domain = [&certificate] { return certificate.trust_domain(); };
  options.out_of_date = [&certificate](const Identity& edge, const absl::Status& why) {
    certificate.NoteRefusedEdge(edge.id, why);
  };
  options.max_links = descriptors.links;
  options.session.heartbeat = config.link.heartbeat;
  options.session.timeout = config.link.timeout;
  options.session.receive_window = config.link.receive_window;
  return options;
}

/// Stores what links and statuses changed, now and then and at the end.
class ReportFlusher {
 public:
  explicit ReportFlusher(EdgeReports& reports) : reports_(reports), thread_([this] { Run(); }) {}
  ~ReportFlusher() {
    stopping_.Notify();
    thread_.join();
  }

 private:
  void Run() {
    bool last = false;
    while (!last) {
      last = stopping_.WaitForNotificationWithTimeout(kFlushEvery);
      if (absl::Status status = reports_.Flush(); !status.ok()) {
        LogWarning("what edges reported could not be stored", {{"error", status}});
      }
    }
  }

  EdgeReports& reports_;
  absl::Notification stopping_;
  std::thread thread_;
};

/// Drives the rollouts of models.
class RolloutDriver {
 public:
  explicit RolloutDriver(ModelRollouts& rollouts) : rollouts_(rollouts), thread_([this] { Run(); }) {}
  ~RolloutDriver() {
    stopping_.Notify();
    thread_.join();
  }

 private:
  void Run() {
    while (!stopping_.WaitForNotificationWithTimeout(kDriveEvery)) {
      if (absl::Status status = rollouts_.Drive(); !status.ok()) {
        LogWarning("rollouts of models could not be driven", {{"error", status}});
      }
    }
  }

  ModelRollouts& rollouts_;
  absl::Notification stopping_;
  std::thread thread_;
};

/// Without a key there are no rollouts.
absl::Status SetSigner(const CoreConfig& config, const NodeCertificate& certificate,
                       ModelAssignments& assignments) {
  if (config.models.rollout_key.empty()) return absl::OkStatus();
  SELVAGE_ASSIGN_OR_RETURN(model::SigningKey key, ModelAssignments::ReadKey(config.models.rollout_key));
  assignments.SetSigner({std::move(key), [&certificate] { return certificate.trust_domain(); }});
  return absl::OkStatus();
}

}  // namespace

absl::Status RunCore(const CoreConfig& config, bool restored) {
  Shutdown shutdown;
  ConfigureLog(config.log);
  RouteLibraryLogs();
  const TlsFiles tls = TlsFilesOf(config.tls);

  SELVAGE_RETURN_IF_ERROR(CheckThreads(kThreads));
  SELVAGE_ASSIGN_OR_RETURN(const DescriptorShares descriptors, TakeDescriptors(WantsOf(config)));

  Metrics metrics("selvage-core");
  Health health;
  health.SetNotReady("store", "opening");
  HttpEndpoint::Options http_options;
  http_options.host = config.http.listen.host;
  http_options.port = config.http.listen.port;
  http_options.connections_max = descriptors.http;
  http_options.handlers = OperatorHandlers(metrics, health);
  SELVAGE_ASSIGN_OR_RETURN(auto http, HttpEndpoint::Start(std::move(http_options)));

  SELVAGE_ASSIGN_OR_RETURN(auto kafka, kafka::KafkaService::Bind(config, descriptors.kafka));
  SELVAGE_ASSIGN_OR_RETURN(const auto tables_http, api::BindServer(config, descriptors.api));

  // Before the store: its committer tells links what is synced, and may be the last that knows of one.
  boost::asio::thread_pool link_threads(std::clamp<size_t>(std::thread::hardware_concurrency(), 2, 8));
  // Admissions and new logs wait for the disk, and no link may wait with them.
  boost::asio::thread_pool errand_threads(kErrandThreads);
  absl::Duration opening = SystemClock().Monotonic();
  SELVAGE_ASSIGN_OR_RETURN(auto store, NodeStore::Open(StoreOptions(config, descriptors, shutdown, health)));
  Fleet fleet(store->state(), std::string(Version()));
  SELVAGE_RETURN_IF_ERROR(fleet.Open(DefinitionsOf(config.streams)));
  if (restored) SELVAGE_RETURN_IF_ERROR(fleet.StartLineage());
  SELVAGE_RETURN_IF_ERROR(kafka->Open(store->state()));
  opening = SystemClock().Monotonic() - opening;

  SELVAGE_ASSIGN_OR_RETURN(
      const auto models,
      model::ModelRegistry::Open(
          {store->state().store(), store->state().committer(), store->state().clock(),
           store->state().budget(),
           [&fleet](const auto& stage, const auto& show) { return fleet.specs.ChangeForAll(stage, show); },
           [&fleet](const model::Digest& manifest) { return fleet.rollouts.NeededBy(manifest); }},
          std::filesystem::path(config.data_dir) / "models" / "chunks"));
  fleet.specs.SetModelRoots([&models] { return models->Roots(); });
  fleet.models = models.get();
  fleet.rollouts.SetFindManifest(
      [&models](const std::string& model, uint64_t version) -> absl::StatusOr<model::Digest> {
        SELVAGE_ASSIGN_OR_RETURN(const v1::ModelVersion found, models->Find(model, version));
        return model::Digest::FromBytes(found.manifest()).value_or(model::Digest());
      });
  store->state().maintenance().CountBeside([&models] { return models->bytes(); });
  absl::Cleanup no_models = [&store] { store->state().maintenance().CountBeside({}); };

  NodeCertificate certificate({tls, Role::kCore, config.node_id}, store->state().alarms(), SystemClock());
  certificate.Look();
  SELVAGE_RETURN_IF_ERROR(SetSigner(config, certificate, fleet.assignments));
  store->SetChore([&certificate] { certificate.LookIfDue(); });
  absl::Cleanup no_chore = [&store] { store->SetChore({}); };

  LinkServer links(LinkOptions(config, descriptors, certificate), link_threads.get_executor(), SystemClock(),
                   [&](const Identity& edge, std::function<void()> wake) {
                     return std::make_shared<PeerLink>(fleet.LinkParts(), metrics, edge.id, std::move(wake),
                                                       [&errand_threads](std::function<void()> work) {
                                                         boost::asio::post(errand_threads, std::move(work));
                                                       });
                   });
  CoreAdmin backend(
      {store->state().catalog(), store->state().logs(), store->state().alarms(), fleet.streams, fleet.logs,
       fleet.edges, fleet.specs, fleet.admitter, fleet.links, fleet.reports, fleet.view},
      std::string(Version()));
  Authorizer authorizer([&certificate] { return certificate.trust_domain(); });
  CoreTopics topics(
      {store->state().catalog(), store->state().logs(), fleet.core, fleet.edges, fleet.streams, backend},
      config.slots_ahead);
  kafka::GroupAdmin group_admin(kafka->groups(), topics);
  CallRunner calls({store->state().clock(), SystemRandom(), backend, authorizer, metrics});
  AdminService admin({AdminService::PartsOf(store->state()), calls, backend, group_admin});
  TablesService tables({calls, store->state().tables(), fleet.tables, backend, store->state().identity(),
                        store->state().captures()});
  ViewsService views(calls, store->state().views());
  ModelsService models_service(calls, *models);
  RolloutsService rollouts(calls, fleet.rollouts);
  api::TableService table_api(store->state().tables(), fleet.tables, store->state().views(), SystemClock());
  auto node_metrics =
      std::make_unique<NodeMetrics>(metrics, NodeMetrics::PartsOf(store->state()), backend.MetricSources([&] {
        return CertificateView{certificate.not_after(), certificate.problem().ok()};
      }));
  auto rollout_metrics = std::make_unique<RolloutMetrics>(metrics, fleet.rollouts);
  auto group_metrics = std::make_unique<kafka::GroupMetrics>(metrics, kafka->groups(), topics);
  GrpcServer::Options server_options;
  server_options.address = config.link.listen.ToString();
  server_options.credentials = ServerCredentials(tls, kTlsReload, LogRefusedPeer);
  server_options.request_max =
      std::max({AdminRequestMax(config.batch_max_bytes), TablesRequestMax(), ModelsRequestMax()});
  server_options.connections_max = descriptors.links + descriptors.admin;
  server_options.metrics = &metrics;
  SELVAGE_ASSIGN_OR_RETURN(auto server, GrpcServer::Start(server_options, link_threads.get_executor(),
                                                          {&links.service(), &admin, &tables, &views,
                                                           &models_service, &rollouts}));
  auto flusher = std::make_unique<ReportFlusher>(fleet.reports);
  auto driver = std::make_unique<RolloutDriver>(fleet.rollouts);
  kafka->Serve(fleet.core.cluster_id(), topics, store->state(), metrics);
  if (tables_http != nullptr) tables_http->Serve(table_api, metrics);
  health.SetReady("store");
  LogInfo("core started", {{"core", config.node_id},
                           {"version", Version()},
                           {"store", store->state().identity().store_id()},
                           {"link_port", server->port()},
                           {"http_port", http->port()},
                           {"kafka_port", kafka->port()},
                           {"api_port", tables_http == nullptr ? 0 : tables_http->port()},
                           {"open_ms", absl::ToInt64Milliseconds(opening)}});

  absl::Status ended = shutdown.Wait();
  LogInfo("core stopping", {{"core", config.node_id}});
  if (tables_http != nullptr) tables_http->Stop();
  kafka->Stop();
  links.Stop(kStopDeadline, absl::Seconds(1));
  server->Shutdown(kStopDeadline);
  link_threads.join();
  errand_threads.join();
  driver.reset();
  flusher.reset();
  node_metrics.reset();
  group_metrics.reset();
  rollout_metrics.reset();
  http->Stop();
  return ended;
}

}  // namespace selvage
