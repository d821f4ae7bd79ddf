/// A backlog replicated from an edge to a core over mTLS on loopback, both ends durable on this machine's one
/// disk, until the edge has heard of the last sync. Beside it, in the same run: RocksDB alone writing and
/// syncing the same bytes, and a bare gRPC mTLS stream of 64 KiB messages.
#include <benchmark/benchmark.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "benchmarks/bench_support.h"
#include "core/fleet.h"
#include "core/peer_link.h"
#include "edge/edge_state.h"
#include "edge/uplink.h"
#include "fabric/base/check.h"
#include "fabric/security/credentials.h"
#include "fabric/security/pki.h"
#include "fabric/telemetry/log.h"
#include "fabric/telemetry/metrics.h"
#include "fabric/transport/grpc_server.h"
#include "fabric/transport/link_client.h"
#include "fabric/transport/link_server.h"

namespace selvage::bench {
namespace {

constexpr int kRounds = 3;
constexpr uint64_t kBacklog = 384u << 20;
constexpr char kTrustDomain[] = "bench.selvage";

struct Identities {
  explicit Identities(const std::filesystem::path& dir) {
    absl::Time now = absl::Now();
    SELVAGE_CHECK(InitAuthority(dir, kTrustDomain, absl::Hours(48), now).ok());
    core = *Issue(
        dir,
        {.role = Role::kCore, .id = "core", .validity = absl::Hours(24), .dns_names = {}, .ip_addresses = {}},
        dir, now);
    edge = *Issue(
        dir,
        {.role = Role::kEdge, .id = "edge", .validity = absl::Hours(24), .dns_names = {}, .ip_addresses = {}},
        dir, now);
  }
  TlsFiles core, edge;
};

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

void FillBacklog(Log& log, size_t batch_bytes) {
  std::string batch = RandomBatch(batch_bytes, 11);
  std::atomic<uint64_t> waiting{0};
  for (uint64_t written = 0; written < kBacklog; written += batch.size()) {
    ++waiting;
    // Within what the commit queue takes.
    while (waiting * batch.size() > 8u << 20) absl::SleepFor(absl::Microseconds(100));
    SELVAGE_CHECK(log.Append(std::string(batch),
                             [&](const auto& position) {
                               SELVAGE_CHECK(position.ok());
                               --waiting;
                             })
                      .ok());
  }
  while (waiting > 0) absl::SleepFor(absl::Milliseconds(1));
}

/// Bytes per second from the moment the edge dials until everything is acknowledged.
double Replicate(size_t batch_bytes) {
  ScratchDir dir;
  Identities identities(dir.path());
  auto edge_node = OpenNode(dir.path() / "edge", "edge", true);
  auto core_node = OpenNode(dir.path() / "core", "core", false);
  EdgeState edge(edge_node->state(), "bench");
  v1::StreamDefinition definition;
  definition.set_name("bench");
  definition.set_direction(v1::UP);
  definition.mutable_settings()->set_keep_after_ack(true);
  SELVAGE_CHECK(edge.Open({definition}).ok());
  Fleet fleet(core_node->state(), "bench");
  SELVAGE_CHECK(fleet.Open({}).ok());
  Log& log = *edge_node->state().logs().Find({"", Slot(0), "bench", PartitionId(0)});
  FillBacklog(log, batch_bytes);

  Metrics metrics("bench_replication");
  boost::asio::thread_pool threads(2);
  LinkServer::Options server_options;
  server_options.trust_domain = [] { return std::string(kTrustDomain); };
  server_options.session.receive_window = 8u << 20;
  LinkServer links(server_options, threads.get_executor(), SystemClock(),
                   [&](const Identity& peer, std::function<void()> wake) {
                     return std::make_shared<PeerLink>(fleet, metrics, peer.id, std::move(wake));
                   });
  auto server = GrpcServer::Start({"127.0.0.1:0", ServerCredentials(identities.core)}, threads.get_executor(),
                                  {&links.service()});
  SELVAGE_CHECK(server.ok());
  LinkClient::Options client_options;
  client_options.addresses = {"127.0.0.1:" + std::to_string((*server)->port())};
  client_options.tls = identities.edge;
  client_options.core.trust_domain = kTrustDomain;
  LinkClient client(
      client_options, threads.get_executor(), SystemClock(), SystemRandom(),
      [&](std::function<void()> wake) { return std::make_shared<Uplink>(edge, 0, std::move(wake)); });
  auto begin = std::chrono::steady_clock::now();
  client.Start();
  while (log.acknowledged().value_or(Offset(0)) < log.state().end) absl::SleepFor(absl::Milliseconds(1));
  double seconds = Seconds(begin);
  client.Stop();
  links.Stop(absl::Seconds(3), absl::Seconds(1));
  (*server)->Shutdown(absl::Seconds(3));
  threads.join();
  return static_cast<double>(log.state().bytes()) / seconds;
}

/// Counts bytes until the client is done.
class SinkReactor : public grpc::ServerGenericBidiReactor {
 public:
  SinkReactor() { StartRead(&buffer_); }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    StartRead(&buffer_);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer buffer_;
};

class SinkService : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new SinkReactor;
  }
};

class FloodReactor : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit FloodReactor(uint64_t messages) : left_(messages) {
    std::string bytes(64 << 10, 'x');
    grpc::Slice slice(bytes);
    buffer_ = grpc::ByteBuffer(&slice, 1);
  }
  void Begin() {
    StartCall();
    Next();
  }
  void OnWriteDone(bool ok) override {
    SELVAGE_CHECK(ok);
    Next();
  }
  void OnDone(const grpc::Status&) override { done_.Notify(); }
  void Wait() { done_.WaitForNotification(); }

 private:
  void Next() {
    if (left_-- == 0) return StartWritesDone();
    message_ = buffer_;
    StartWrite(&message_);
  }
  uint64_t left_;
  grpc::ByteBuffer buffer_, message_;
  absl::Notification done_;
};

double BareGrpc() {
  ScratchDir dir;
  Identities identities(dir.path());
  SinkService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", ServerCredentials(identities.core), &port);
  builder.RegisterCallbackGenericService(&service);
  auto server = builder.BuildAndStart();
  auto channel = grpc::CreateChannel(
      "127.0.0.1:" + std::to_string(port),
      ChannelCredentials(identities.edge, {.trust_domain = kTrustDomain, .role = Role::kCore, .id = ""}));
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel);
  grpc::ClientContext context;
  FloodReactor reactor(kBacklog / (64 << 10));
  stub.PrepareBidiStreamingCall(&context, "/bench/Flood", {}, &reactor);
  auto begin = std::chrono::steady_clock::now();
  reactor.Begin();
  reactor.Wait();
  double seconds = Seconds(begin);
  server->Shutdown();
  return static_cast<double>(kBacklog) / seconds;
}

void BM_ReplicateBacklog(benchmark::State& state) {
  struct Round {
    double ours, rocksdb, grpc;
  };
  std::vector<Round> rounds;
  auto batch_bytes = static_cast<uint64_t>(state.range(0));
  for (auto _ : state) {
    for (int i = 0; i < kRounds; ++i) {
      Round round{};
      round.ours = Replicate(batch_bytes);
      ScratchDir dir;
      uint64_t group = std::max<uint64_t>(batch_bytes, 1 << 20);
      round.rocksdb = static_cast<double>(kBacklog) /
                      RawStoreSeconds(dir.path() / "store", false, kBacklog, group, batch_bytes);
      round.grpc = BareGrpc();
      rounds.push_back(round);
    }
  }
  std::sort(rounds.begin(), rounds.end(),
            [](const Round& a, const Round& b) { return a.ours / a.rocksdb < b.ours / b.rocksdb; });
  const Round& median = rounds[rounds.size() / 2];
  state.counters["ours_MBps"] = median.ours / 1e6;
  state.counters["rocksdb_MBps"] = median.rocksdb / 1e6;
  state.counters["grpc_MBps"] = median.grpc / 1e6;
  state.counters["ratio_rocksdb"] = median.ours / median.rocksdb;
}
BENCHMARK(BM_ReplicateBacklog)
    ->ArgName("batch_bytes")
    ->Arg(64 << 10)
    ->Arg(256 << 10)
    ->Arg(1 << 20)
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime();

}  // namespace
}  // namespace selvage::bench

int main(int argc, char** argv) {
  selvage::ConfigureLog({.level = selvage::LogLevel::kError, .format = selvage::LogFormat::kText});
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
