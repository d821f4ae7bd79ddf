/// Many edges in one process, each with its own certificate and its own link over TLS to a core that runs
/// elsewhere, and nothing to send: the load of scripts/bench-idle. Prints "linked" when all of them are, and
/// ends when its standard input does.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "benchmarks/bench_support.h"
#include "edge/edge_state.h"
#include "edge/uplink.h"
#include "fabric/base/check.h"
#include "fabric/node/node_state.h"
#include "fabric/process/descriptors.h"
#include "fabric/security/pki.h"
#include "fabric/storage/memory_store.h"
#include "fabric/telemetry/log.h"
#include "fabric/transport/link_client.h"

namespace selvage::bench {
namespace {

/// An edge in memory. Nobody writes to it, so that whoever changes its store drives the committer.
class LinkedEdge {
 public:
  LinkedEdge(const std::string& name, const std::string& core, const TlsFiles& tls, const std::string& domain,
             boost::asio::any_io_executor executor)
      : node_(OptionsOf(name), store_, SystemClock(), SystemRandom()),
        edge_(EdgeState::PartsOf(node_), "bench") {
    SELVAGE_CHECK(node_.Open({}).ok());
    SELVAGE_CHECK(edge_.Open({}).ok());
    LinkClient::Options options;
    options.addresses = {core};
    options.tls = tls;
    options.core = {.trust_domain = domain, .role = Role::kCore, .id = ""};
    options.connect_timeout = absl::Minutes(2);  // all dial at once
    link_ = std::make_unique<LinkClient>(
        options, std::move(executor), SystemClock(), SystemRandom(), [this](std::function<void()> wake) {
          return std::make_shared<Uplink>(Uplink::PartsOf(node_, edge_), 0, std::move(wake));
        });
    link_->Start();
  }

  bool connected() const { return link_->state().connected; }

 private:
  static NodeState::Options OptionsOf(const std::string& name) {
    NodeState::Options options;
    options.node = name;
    options.tail_cache_bytes = 0;
    return options;
  }

  MemoryStore store_;
  NodeState node_;
  EdgeState edge_;
  std::unique_ptr<LinkClient> link_;
};

void Run(const std::string& core, const std::string& authority, int count) {
  RaiseDescriptorLimit();
  ScratchDir dir;
  const auto domain = AuthorityTrustDomain(authority);
  SELVAGE_CHECK(domain.ok());
  boost::asio::thread_pool threads(4);
  std::vector<std::unique_ptr<LinkedEdge>> edges;
  for (int i = 0; i < count; ++i) {
    const std::string name = fmt::format("edge-{}", i);
    const IssueRequest request{
        .role = Role::kEdge, .id = name, .validity = absl::Hours(24), .dns_names = {}, .ip_addresses = {}};
    const auto tls = Issue(authority, request, dir.path(), absl::Now());
    SELVAGE_CHECK(tls.ok());
    edges.push_back(std::make_unique<LinkedEdge>(name, core, *tls, *domain, threads.get_executor()));
  }
  for (const auto& edge : edges) {
    while (!edge->connected()) absl::SleepFor(absl::Milliseconds(20));
  }
  fmt::print("linked\n");
  std::fflush(stdout);
  while (std::cin.get() != EOF) {
  }
  edges.clear();
  threads.join();
}

}  // namespace
}  // namespace selvage::bench

int main(int argc, char** argv) {
  selvage::ConfigureLog({.level = selvage::LogLevel::kError});
  CLI::App app("Edges that are linked with a core and idle");
  std::string core, authority;
  int edges = 1000;
  app.add_option("--core", core, "Its link's address")->required();
  app.add_option("--pki", authority, "Directory of the authority that signs the edges' certificates")
      ->required();
  app.add_option("--edges", edges, "How many");
  CLI11_PARSE(app, argc, argv);
  selvage::bench::Run(core, authority, edges);
  return 0;
}
