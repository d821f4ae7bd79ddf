#include "tests/clients/broker.h"

#include "fabric/base/error.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"

namespace selvage::test {
namespace {

/// The node tells its clients the address of the link, which is there before it.
Cluster::Options OptionsOf(Broker::Node node, const std::string& address) {
  if (node == Broker::Node::kEdge)
    return {.edges = 1, .edge = {{"kafka.direction", "local"}, {"kafka.advertise", address}}};
  // Clients take their time over partitions, also over empty ones.
  return {.edges = 1, .core = {{"kafka.advertise", address}, {"slots.ahead", "2"}}};
}

}  // namespace

class Broker::Impl {
 public:
  Impl(Node of, std::unique_ptr<LinkProxy> proxy)
      : node(of), link(std::move(proxy)), cluster(OptionsOf(of, LocalAddress(link->port()))) {}

  const Node node;
  const std::unique_ptr<LinkProxy> link;
  Cluster cluster;
};

Broker::Broker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Broker::~Broker() = default;

absl::StatusOr<std::unique_ptr<Broker>> Broker::Start(Node node) {
  SELVAGE_ASSIGN_OR_RETURN(auto link, LinkProxy::Start({}));
  std::unique_ptr<Broker> broker(new Broker(std::make_unique<Impl>(node, std::move(link))));
  SELVAGE_RETURN_IF_ERROR(broker->impl_->cluster.Prepare());
  broker->link().SetTarget(broker->daemon().kafka_port());
  SELVAGE_RETURN_IF_ERROR(broker->Resume());
  if (node == Node::kEdge) return broker;
  SELVAGE_RETURN_IF_ERROR(broker->edge().Start());
  SELVAGE_RETURN_IF_ERROR(AwaitLinked(broker->core(), Cluster::EdgeName(0)));
  return broker;
}

std::string Broker::address() const {
  return LocalAddress(impl_->link->port());
}

LinkProxy& Broker::link() {
  return *impl_->link;
}

Daemon& Broker::core() {
  return impl_->cluster.core();
}

Daemon& Broker::edge() {
  return impl_->cluster.edge();
}

Daemon& Broker::daemon() {
  return impl_->node == Node::kCore ? core() : edge();
}

void Broker::Kill() {
  daemon().Kill();
}

absl::Status Broker::Resume() {
  return daemon().Start();
}

}  // namespace selvage::test
