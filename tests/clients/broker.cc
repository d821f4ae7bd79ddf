#include "tests/clients/broker.h"

#include "fabric/base/error.h"
#include "tests/e2e/cluster.h"
#include "tests/support/reserved_port.h"

namespace selvage::test {

class Broker::Impl {
 public:
  Impl(ReservedPort listen, std::unique_ptr<LinkProxy> proxy)
      : port(std::move(listen)),
        link(std::move(proxy)),
        cluster({.edges = 1,
                 .edge = {{"kafka.direction", "local"},
                          {"kafka.listen", LocalAddress(port.port())},
                          {"kafka.advertise", LocalAddress(link->port())}}}) {}

  const ReservedPort port;
  const std::unique_ptr<LinkProxy> link;
  Cluster cluster;
};

Broker::Broker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Broker::~Broker() = default;

absl::StatusOr<std::unique_ptr<Broker>> Broker::Start() {
  SELVAGE_ASSIGN_OR_RETURN(ReservedPort port, ReservePort());
  SELVAGE_ASSIGN_OR_RETURN(auto link, LinkProxy::Start({port.port(), 0}));
  std::unique_ptr<Broker> broker(new Broker(std::make_unique<Impl>(std::move(port), std::move(link))));
  // Without its core: Kafka clients of an edge need none.
  SELVAGE_RETURN_IF_ERROR(broker->impl_->cluster.Prepare());
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
