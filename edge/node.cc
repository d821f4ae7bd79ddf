#include "edge/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/time/time.h"
#include "edge/edge_admin.h"
#include "edge/edge_models.h"
#include "edge/edge_state.h"
#include "edge/edge_topics.h"
#include "edge/uplink.h"
#include "fabric/admin/admin_service.h"
#include "fabric/admin/local_calls.h"
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
#include "fabric/transport/link_client.h"

namespace selvage {
namespace {

constexpr absl::Duration kStopDeadline = absl::Seconds(3);
/// That a daemon starts by and by, its own and those of the libraries, with some to spare.
constexpr size_t kThreads = 40;
constexpr size_t kLinkThreads = 2;

DescriptorWants WantsOf(const EdgeConfig& config) {
  return {.kafka = config.kafka.listen.empty() ? 0 : kafka::KafkaService::kConnectionsMax,
          .links = 0,
          .api = api::WantedConnections(config.api)};
}

NodeStore::Options StoreOptions(const EdgeConfig& config, const DescriptorShares& descriptors,
                                Shutdown& shutdown, Health& health) {
  NodeStore::Options options;
  options.data_dir = config.data_dir;
  options.write_buffer_bytes = config.storage.write_buffer;
  options.block_cache_bytes = config.storage.block_cache;
  options.max_open_files = descriptors.store_files;
  options.state.node = config.node_id;
  options.state.take_store_of = config.take_store_of;
  options.state.is_edge = true;
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

LinkClient::Options LinkOptions(const EdgeConfig& config, const TlsFiles& tls, NodeCertificate& certificate) {
  LinkClient::Options options;
  for (const Address& address : config.link.addresses) options.addresses.push_back(address.ToString());
  options.tls = tls;
  options.core = ExpectedPeer{.trust_domain = "", .role = Role::kCore, .id = ""};
  options.trust_domain = [&certificate] { return certificate.TrustDomainToDial(); };
  options.http_proxy = config.link.proxy.ToString();
  options.backoff_min = config.link.backoff_min;
  options.backoff_max = config.link.backoff_max;
  options.session.heartbeat = config.link.heartbeat;
  options.session.timeout = config.link.timeout;
  options.session.receive_window = config.link.receive_window;
  options.session.max_rate = config.link.max_rate;
  return options;
}

EdgeModels::Options ModelOptions(const EdgeConfig& config) {
  const EdgeModelsConfig& models = config.models;
  return {.edge = config.node_id,
          .folder = std::filesystem::path(config.data_dir) / "models",
          .root = model::Digest::FromHex(models.root),
          .quota = models.quota,
          .gate = {models.gate_command, models.gate_http, models.gate_timeout, models.hook}};
}

/// Of a version that is in the way of none: those of a model's progress.
std::vector<CollectedMetric> ModelMetrics(const EdgeModels& models) {
  CollectedMetric state{"selvage_model_state", "1 for the state that a model is in", {}, {}};
  CollectedMetric version{"selvage_model_version", "The version of a model that runs; 0: none", {}, {}};
  CollectedMetric bytes{
      "selvage_model_download_bytes", "Of the version that is wanted, what is here", {}, {}};
  CollectedMetric total{
      "selvage_model_download_size_bytes", "Of the version that is wanted, all of it", {}, {}};
  for (const v1::ModelStatus& model : models.Statuses()) {
    const MetricLabels labels{{"model", model.model()}};
    state.samples.push_back({{{"model", model.model()}, {"state", model.state()}}, 1});
    version.samples.push_back({labels, static_cast<double>(model.committed_version())});
    bytes.samples.push_back({labels, static_cast<double>(model.bytes())});
    total.samples.push_back({labels, static_cast<double>(model.bytes_total())});
  }
  CollectedMetric root{
      "selvage_model_root_version", "The root of models that the edge trusts; 0: none", {}, {}};
  root.samples.push_back({{}, static_cast<double>(models.root_version())});
  CollectedMetric disk{"selvage_model_disk_bytes", "Of chunks and files of models on the disk", {}, {}};
  disk.samples.push_back({{}, static_cast<double>(models.bytes())});
  return {state, version, bytes, total, root, disk};
}

LinkView ViewOf(const LinkState& link) {
  if (link.connected) return {true, link.address};
  if (!link.last_error.ok()) return {false, link.address + ": " + Describe(link.last_error)};
  return {false, "dialling " + link.address};
}

}  // namespace

absl::Status RunEdge(const EdgeConfig& config) {
  Shutdown shutdown;
  ConfigureLog(config.log);
  RouteLibraryLogs();
  const TlsFiles tls = TlsFilesOf(config.tls);

  SELVAGE_RETURN_IF_ERROR(CheckThreads(kThreads));
  SELVAGE_ASSIGN_OR_RETURN(const DescriptorShares descriptors, TakeDescriptors(WantsOf(config)));

  Metrics metrics("selvage-edge");
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
  boost::asio::thread_pool link_threads(kLinkThreads);
  absl::Duration opening = SystemClock().Monotonic();
  SELVAGE_ASSIGN_OR_RETURN(auto store, NodeStore::Open(StoreOptions(config, descriptors, shutdown, health)));
  EdgeState state(EdgeState::PartsOf(store->state()), std::string(Version()));
  SELVAGE_RETURN_IF_ERROR(state.Open(DefinitionsOf(config.streams)));
  SELVAGE_RETURN_IF_ERROR(kafka->Open(store->state()));
  opening = SystemClock().Monotonic() - opening;

  model::ChunkFetchers chunk_fetchers;
  SELVAGE_ASSIGN_OR_RETURN(
      const auto models,
      EdgeModels::Open({store->state().store(), store->state().committer(), store->state().clock(),
                        store->state().alarms(), store->state().budget(), chunk_fetchers},
                       ModelOptions(config)));
  state.SetModels({[&models](const v1::EdgeSpec& spec) { models->Take(spec); },
                   [&models] { return models->changes(); },
                   [&models](v1::EdgeStatus& status) { models->AddTo(status); }});
  store->state().maintenance().CountBeside([&models] { return models->bytes(); });
  absl::Cleanup no_models = [&store] { store->state().maintenance().CountBeside({}); };

  NodeCertificate certificate({tls, Role::kEdge, config.node_id}, store->state().alarms(), SystemClock());
  certificate.Look();
  store->SetChore([&certificate] { certificate.LookIfDue(); });
  absl::Cleanup no_chore = [&store] { store->SetChore({}); };

  // One of the link's two threads at most waits for the disk; the other serves the link meanwhile.
  const auto errands = boost::asio::make_strand(link_threads);
  std::unique_ptr<LocalCalls> local_calls;  // before the link starts
  Uplink::Parts uplink_parts = Uplink::PartsOf(store->state(), state);
  uplink_parts.chunk_fetchers = &chunk_fetchers;
  LinkClient link(
      LinkOptions(config, tls, certificate), link_threads.get_executor(), SystemClock(), SystemRandom(),
      [&](std::function<void()> wake) {
        return std::make_shared<Uplink>(
            uplink_parts, config.link.max_rate, std::move(wake),
            [errands](std::function<void()> work) { boost::asio::post(errands, std::move(work)); },
            [&local_calls](NodeCall call, CallDone done) { local_calls->Call(call, std::move(done)); });
      });
  EdgeAdmin backend(EdgeAdmin::PartsOf(store->state(), state), [&link] { return ViewOf(link.state()); });
  Authorizer authorizer([&certificate] { return certificate.trust_domain(); });
  EdgeTopics topics(store->state().catalog(), store->state().logs(), backend,
                    config.kafka.direction == "local" ? v1::LOCAL : v1::UP);
  kafka::GroupAdmin group_admin(kafka->groups(), topics);
  CallRunner calls({store->state().clock(), SystemRandom(), backend, authorizer, metrics, config.link.calls});
  AdminService admin({AdminService::PartsOf(store->state()), calls, backend, group_admin});
  TablesService tables({calls, store->state().tables(), state.tables(), backend, store->state().identity(),
                        store->state().captures()});
  ViewsService views(calls, store->state().views());
  api::TableService table_api(store->state().tables(), state.tables(), store->state().views(), SystemClock());
  auto node_metrics =
      std::make_unique<NodeMetrics>(metrics, NodeMetrics::PartsOf(store->state()), backend.MetricSources([&] {
        return CertificateView{certificate.not_after(), certificate.problem().ok()};
      }));
  auto model_metrics = metrics.AddCollector([&models] { return ModelMetrics(*models); });
  auto group_metrics = std::make_unique<kafka::GroupMetrics>(metrics, kafka->groups(), topics);
  GrpcServer::Options server_options;
  server_options.address = config.admin_listen.ToString();
  server_options.credentials = ServerCredentials(tls, kTlsReload, LogRefusedPeer);
  server_options.request_max = std::max(AdminRequestMax(config.batch_max_bytes), TablesRequestMax());
  server_options.connections_max = descriptors.admin;
  server_options.metrics = &metrics;
  SELVAGE_ASSIGN_OR_RETURN(
      auto server, GrpcServer::Start(server_options, link_threads.get_executor(), {&admin, &tables, &views}));
  local_calls = std::make_unique<LocalCalls>(server->InProcessChannel(), calls.local_secret());
  // To Kafka clients an edge is a cluster of its own: topics, offsets and groups are its own.
  kafka->Serve(fmt::format("selvage-edge-{}", config.node_id), topics, store->state(), metrics);
  if (tables_http != nullptr) tables_http->Serve(table_api, metrics);
  health.SetReady("store");
  models->Start();
  link.Start();
  LogInfo("edge started", {{"edge", config.node_id},
                           {"version", Version()},
                           {"store", store->state().identity().store_id()},
                           {"admin_port", server->port()},
                           {"http_port", http->port()},
                           {"kafka_port", kafka->port()},
                           {"api_port", tables_http == nullptr ? 0 : tables_http->port()},
                           {"open_ms", absl::ToInt64Milliseconds(opening)}});

  absl::Status ended = shutdown.Wait();
  LogInfo("edge stopping", {{"edge", config.node_id}});
  if (tables_http != nullptr) tables_http->Stop();
  kafka->Stop();
  link.Stop();
  server->Shutdown(kStopDeadline);
  local_calls.reset();
  link_threads.join();
  models->Stop();
  node_metrics.reset();
  group_metrics.reset();
  model_metrics.reset();
  http->Stop();
  return ended;
}

}  // namespace selvage
