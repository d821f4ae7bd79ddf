#include "tests/clients/broker.h"

#include "fabric/base/error.h"
#include "tests/e2e/cluster.h"

namespace selvage::test {

class Broker::Impl {
 public:
  explicit Impl(std::unique_ptr<LinkProxy> proxy)
      : link(std::move(proxy)),
        cluster({.edges = 1,
                 .edge = {{"kafka.direction", "local"}, {"kafka.advertise", LocalAddress(link->port())}}}) {}

  const std::unique_ptr<LinkProxy> link;
  Cluster cluster;
};

Broker::Broker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Broker::~Broker() = default;

absl::StatusOr<std::unique_ptr<Broker>> Broker::Start() {
  // The edge tells its clients the address of the link, which is there before it.
  SELVAGE_ASSIGN_OR_RETURN(auto link, LinkProxy::Start({}));
  std::unique_ptr<Broker> broker(new Broker(std::make_unique<Impl>(std::move(link))));
  // Without its core: Kafka clients of an edge need none.
  SELVAGE_RETURN_IF_ERROR(broker->impl_->cluster.Prepare());
  broker->link().SetTarget(broker->impl_->cluster.edge().kafka_port());
  SELVAGE_RETURN_IF_ERROR(broker->Resume());
  return broker;
}

std::string Broker::address() const {
  return LocalAddress(impl_->link->port());
}

LinkProxy& Broker::link() {
  return *impl_->link;
}

void Broker::Kill() {
  impl_->cluster.edge().Kill();
}

absl::Status Broker::Resume() {
  return impl_->cluster.edge().Start();
}

}  // namespace selvage::test
