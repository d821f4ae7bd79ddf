#pragma once

#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/replication/link_handler.h"
#include "fabric/security/pki.h"
#include "fabric/transport/grpc_server.h"
#include "fabric/transport/link_client.h"
#include "fabric/transport/link_server.h"
#include "tests/support/test_dir.h"
#include "tests/unit/transport/memory_log.h"

namespace selvage::test {

/// What one end of a link has: logs it offers, and replicas by name. Outlives links, as a store does. Set up
/// before the first link.
struct Node {
  explicit Node(bool edge) : is_edge(edge) {}

  MemoryLog& AddSource(const std::string& name, replication::FlowSettings settings = {});
  MemoryLog& AddReplica(const std::string& name);

  const bool is_edge;
  std::map<std::string, std::unique_ptr<MemoryLog>> sources;
  std::map<std::string, std::unique_ptr<MemoryLog>> replicas;

  /// Links so far, and how each of those that ended did so, in order.
  int opened() const;
  std::vector<absl::Status> ends() const;
  bool WaitForEnds(size_t count, absl::Duration deadline) const;
  /// Waits for one that ended for a reason of this kind.
  bool WaitForEnd(std::string_view kind, absl::Duration deadline) const;

  mutable absl::Mutex mutex;
  int opened_count ABSL_GUARDED_BY(mutex) = 0;
  std::vector<absl::Status> ended ABSL_GUARDED_BY(mutex);
};

/// Runs one link of a node: the handshake, and all of its logs. Persists on another thread.
class NodeHandler final : public replication::LinkHandler {
 public:
  NodeHandler(Node& node, boost::asio::any_io_executor store, std::function<void()> wake);

  void Opened(replication::Session& session) override;
  void Handle(replication::Session& session, const replication::Session::Event& event) override;
  void Tick(replication::Session&) override {}
  void Closed(const absl::Status& reason, absl::Duration retry_after) override;

 private:
  void OfferAll(replication::Session& session);

  Node& node_;
  boost::asio::strand<boost::asio::any_io_executor> store_;
  const std::function<void()> wake_;
  std::map<replication::FlowNumber, std::unique_ptr<ElsewhereSink>> sinks_;
};

/// An authority and threads for the links of one test.
class LinkWorld {
 public:
  LinkWorld();
  ~LinkWorld();

  TlsFiles Certificate(Role role, const std::string& id, absl::Duration validity = absl::Hours(24));
  boost::asio::any_io_executor executor() { return pool_.get_executor(); }

  /// An edge that dials `addresses`; not started.
  std::unique_ptr<LinkClient> Edge(Node& node, std::vector<std::string> addresses);
  std::unique_ptr<LinkClient> Edge(Node& node, LinkClient::Options options);
  LinkClient::Options EdgeOptions(std::vector<std::string> addresses);

 private:
  TestDir dir_;
  boost::asio::thread_pool pool_{2};
};

/// A core that listens on loopback.
class TestCore {
 public:
  TestCore(LinkWorld& world, Node& node, int port = 0);
  TestCore(LinkWorld& world, LinkServer::HandlerFactory factory, LinkServer::Options options, int port = 0);
  ~TestCore();

  int port() const { return server_->port(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port()); }
  LinkServer& links() { return links_; }
  static LinkServer::Options DefaultOptions();

 private:
  LinkServer links_;
  std::unique_ptr<GrpcServer> server_;
};

/// `count` bodies of about `bytes` bytes that compress badly and differ.
std::vector<std::string> Bodies(size_t count, size_t bytes, uint64_t seed = 1);

}  // namespace selvage::test
