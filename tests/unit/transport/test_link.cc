#include "tests/unit/transport/test_link.h"

#include <boost/asio/post.hpp>
#include <random>
#include <utility>

#include "absl/time/clock.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage::test {

using replication::FlowNumber;
using replication::LinkHandler;
using replication::Session;

MemoryLog& Node::AddSource(const std::string& name, replication::FlowSettings settings) {
  return *sources.emplace(name, std::make_unique<MemoryLog>(name, settings)).first->second;
}

MemoryLog& Node::AddReplica(const std::string& name) {
  return *replicas.emplace(name, std::make_unique<MemoryLog>(name)).first->second;
}

int Node::opened() const {
  absl::MutexLock lock(&mutex);
  return opened_count;
}

std::vector<absl::Status> Node::ends() const {
  absl::MutexLock lock(&mutex);
  return ended;
}

bool Node::WaitForEnds(size_t count, absl::Duration deadline) const {
  auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex) { return ended.size() >= count; };
  absl::MutexLock lock(&mutex);
  return mutex.AwaitWithTimeout(absl::Condition(&enough), deadline);
}

bool Node::WaitForEnd(std::string_view kind, absl::Duration deadline) const {
  auto found = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex) {
    for (const absl::Status& status : ended) {
      if (ErrorKind(status) == kind) return true;
    }
    return false;
  };
  absl::MutexLock lock(&mutex);
  return mutex.AwaitWithTimeout(absl::Condition(&found), deadline);
}

NodeHandler::NodeHandler(Node& node, boost::asio::any_io_executor store, std::function<void()> wake)
    : node_(node), store_(std::move(store)), wake_(std::move(wake)) {}

void NodeHandler::Opened(Session& session) {
  {
    absl::MutexLock lock(&node_.mutex);
    ++node_.opened_count;
  }
  if (node_.is_edge) session.SendHello(v1::Hello());
}

void NodeHandler::OfferAll(Session& session) {
  for (auto& [name, log] : node_.sources) {
    session.Offer(*log);
    log->Watch(wake_);
  }
}

void NodeHandler::Handle(Session& session, const Session::Event& event) {
  if (std::holds_alternative<Session::PeerHello>(event)) {
    session.SendWelcome(v1::Welcome());
    OfferAll(session);
  } else if (std::holds_alternative<Session::PeerWelcome>(event)) {
    OfferAll(session);
  } else if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) {
    const std::string& name = offered->open.stream().name();
    auto replica = node_.replicas.find(name);
    if (replica == node_.replicas.end()) {
      return session.Refuse(offered->flow, MakeError(absl::StatusCode::kNotFound, "unknown_stream", name),
                            absl::InfiniteDuration());
    }
    auto& sink = sinks_[offered->flow];
    sink = std::make_unique<ElsewhereSink>(
        *replica->second, [this](std::function<void()> work) { boost::asio::post(store_, std::move(work)); });
    session.Accept(offered->flow, *sink);
  }
}

void NodeHandler::Closed(const absl::Status& reason, absl::Duration) {
  absl::MutexLock lock(&node_.mutex);
  node_.ended.push_back(reason);
}

LinkWorld::LinkWorld() {
  SELVAGE_CHECK(
      InitAuthority(dir_.File("authority"), "fleet", absl::Hours(24 * 30), absl::Now() - absl::Hours(72))
          .ok());
}

LinkWorld::~LinkWorld() {
  pool_.join();
}

TlsFiles LinkWorld::Certificate(Role role, const std::string& id, absl::Duration validity) {
  auto files = Issue(dir_.File("authority"), {role, id, validity, {}, {}}, dir_.File("issued"),
                     absl::Now() - absl::Hours(2));
  SELVAGE_CHECK(files.ok());
  return *files;
}

LinkClient::Options LinkWorld::EdgeOptions(std::vector<std::string> addresses) {
  LinkClient::Options options;
  options.addresses = std::move(addresses);
  options.tls = Certificate(Role::kEdge, "rig-7");
  options.core = {"fleet", Role::kCore, ""};
  options.backoff_min = absl::Milliseconds(20);
  options.backoff_max = absl::Milliseconds(200);
  return options;
}

std::unique_ptr<LinkClient> LinkWorld::Edge(Node& node, LinkClient::Options options) {
  return std::make_unique<LinkClient>(
      std::move(options), executor(), SystemClock(), SystemRandom(),
      [&node, store = executor()](std::function<void()> wake) -> std::shared_ptr<LinkHandler> {
        return std::make_shared<NodeHandler>(node, store, std::move(wake));
      });
}

std::unique_ptr<LinkClient> LinkWorld::Edge(Node& node, std::vector<std::string> addresses) {
  return Edge(node, EdgeOptions(std::move(addresses)));
}

LinkServer::Options TestCore::DefaultOptions() {
  LinkServer::Options options;
  options.trust_domain = [] { return std::string("fleet"); };
  return options;
}

TestCore::TestCore(LinkWorld& world, LinkServer::HandlerFactory factory, LinkServer::Options options,
                   int port)
    : links_(std::move(options), world.executor(), SystemClock(), std::move(factory)) {
  auto server = GrpcServer::Start(
      {"127.0.0.1:" + std::to_string(port), ServerCredentials(world.Certificate(Role::kCore, "main"))},
      world.executor(), {&links_.service()});
  SELVAGE_CHECK(server.ok());
  server_ = *std::move(server);
}

TestCore::TestCore(LinkWorld& world, Node& node, int port)
    : TestCore(
          world,
          [&node, store = world.executor()](
              const Identity&, std::function<void()> wake) -> absl::StatusOr<std::shared_ptr<LinkHandler>> {
            return std::make_shared<NodeHandler>(node, store, std::move(wake));
          },
          DefaultOptions(), port) {}

TestCore::~TestCore() {
  links_.Stop(absl::Seconds(5), absl::ZeroDuration());
  server_->Shutdown(absl::Seconds(1));
  server_.reset();
}

std::vector<std::string> Bodies(size_t count, size_t bytes, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::string> bodies;
  for (size_t i = 0; i < count; ++i) {
    std::string body;
    const size_t size = bytes / 2 + random() % (bytes + 1);
    for (size_t at = 0; at < size + 1; at += 8) {
      const uint64_t word = random();
      body.append(reinterpret_cast<const char*>(&word), 8);
    }
    bodies.push_back(std::move(body));
  }
  return bodies;
}

}  // namespace selvage::test
