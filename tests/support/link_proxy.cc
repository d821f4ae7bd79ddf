#include "tests/support/link_proxy.h"

#include <boost/asio/ip/tcp.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "tests/support/io_thread.h"
#include "tests/support/reserved_port.h"
#include "tests/support/tunnel.h"

namespace selvage::test {

using boost::asio::ip::tcp;
using boost::system::error_code;

class LinkProxy::Impl {
 public:
  Impl(ReservedPort reserved, uint16_t target_port);
  ~Impl();

  uint16_t port() const { return reserved_.port(); }
  void Do(absl::FunctionRef<void()> work) { thread_.Do(work); }

  void SetTarget(uint16_t port) { target_port_ = port; }
  void Listen();
  void StopListening() { acceptor_.reset(); }
  bool listening() const { return acceptor_.has_value(); }
  void Cut();
  void HalfOpen();
  void Poke();
  LinkCounters Count() const;
  template <class Change>
  void ForLanes(Direction direction, Change change) {
    if (direction != Direction::kDown) change(faults_.up);
    if (direction != Direction::kUp) change(faults_.down);
    Poke();
  }

 private:
  // A connection that was accepted but has no way to the target yet.
  struct Dial {
    tcp::socket client;
    tcp::socket target;
    bool started = false;
  };

  tcp::endpoint Loopback(uint16_t port) const { return {boost::asio::ip::address_v4::loopback(), port}; }
  void Accept();
  void Connect(const std::shared_ptr<Dial>& dial);
  std::shared_ptr<Tunnel> AddTunnel(Dial& dial);

  IoThread thread_;
  const ReservedPort reserved_;
  LinkFaults faults_{thread_.context()};
  uint16_t target_port_;
  uint64_t accepted_ = 0;
  std::optional<tcp::acceptor> acceptor_;
  std::set<std::shared_ptr<Dial>> dials_;
  std::set<std::shared_ptr<Tunnel>> tunnels_;
};

LinkProxy::Impl::Impl(ReservedPort reserved, uint16_t target_port)
    : reserved_(std::move(reserved)), target_port_(target_port) {
  Do([&] { Listen(); });
}

LinkProxy::Impl::~Impl() {
  Do([&] {
    StopListening();
    Cut();
    faults_.up.gate.Clear();
    faults_.down.gate.Clear();
  });
  thread_.Join();
}

void LinkProxy::Impl::Listen() {
  acceptor_.emplace(thread_.context());
  error_code error;
  acceptor_->open(tcp::v4(), error);
  if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) NarrowBuffers(acceptor_->native_handle());
  if (!error) acceptor_->bind(Loopback(port()), error);
  if (!error) acceptor_->listen(tcp::acceptor::max_listen_connections, error);
  SELVAGE_CHECK(!error);  // the port is reserved for this proxy
  Accept();
}

void LinkProxy::Impl::Accept() {
  acceptor_->async_accept([this](error_code error, tcp::socket client) {
    if (error == boost::asio::error::operation_aborted || !acceptor_) return;
    SELVAGE_CHECK(!error);
    ++accepted_;
    auto dial = std::make_shared<Dial>(Dial{std::move(client), tcp::socket(thread_.context())});
    dials_.insert(dial);
    Connect(dial);
    Accept();
  });
}

void LinkProxy::Impl::Connect(const std::shared_ptr<Dial>& dial) {
  if (dial->started || faults_.up.stalled || faults_.down.stalled) return;
  dial->started = true;
  error_code error;
  dial->target.open(tcp::v4(), error);
  SELVAGE_CHECK(!error);
  NarrowBuffers(dial->target.native_handle());
  dial->target.async_connect(Loopback(target_port_), [this, dial](error_code failed) {
    if (dials_.erase(dial) == 0) return;  // cut, or made half-open, meanwhile
    if (failed) {
      ResetSocket(dial->client);
    } else {
      AddTunnel(*dial)->Start();
    }
  });
}

std::shared_ptr<Tunnel> LinkProxy::Impl::AddTunnel(Dial& dial) {
  auto tunnel =
      std::make_shared<Tunnel>(std::move(dial.client), std::move(dial.target), faults_,
                               [this](const std::shared_ptr<Tunnel>& closed) { tunnels_.erase(closed); });
  tunnels_.insert(tunnel);
  return tunnel;
}

void LinkProxy::Impl::Cut() {
  for (const auto& dial : std::exchange(dials_, {})) {
    ResetSocket(dial->client);
    ResetSocket(dial->target);
  }
  // Each leaves tunnels_ by itself.
  const std::vector<std::shared_ptr<Tunnel>> tunnels(tunnels_.begin(), tunnels_.end());
  for (const auto& tunnel : tunnels) tunnel->Abort();
}

void LinkProxy::Impl::HalfOpen() {
  for (const auto& dial : std::exchange(dials_, {})) {
    ResetSocket(dial->target);
    AddTunnel(*dial)->Start();
  }
  for (const auto& tunnel : tunnels_) tunnel->HalfOpen();
}

void LinkProxy::Impl::Poke() {
  const std::vector<std::shared_ptr<Dial>> dials(dials_.begin(), dials_.end());
  for (const auto& dial : dials) Connect(dial);
  const std::vector<std::shared_ptr<Tunnel>> tunnels(tunnels_.begin(), tunnels_.end());
  for (const auto& tunnel : tunnels) tunnel->Poke();
}

LinkCounters LinkProxy::Impl::Count() const {
  return {accepted_, dials_.size() + tunnels_.size(), faults_.up.bytes, faults_.down.bytes};
}

absl::StatusOr<std::unique_ptr<LinkProxy>> LinkProxy::Start(const Options& options) {
  SELVAGE_ASSIGN_OR_RETURN(ReservedPort reserved, ReservePort(options.port));
  return std::unique_ptr<LinkProxy>(
      new LinkProxy(std::make_unique<Impl>(std::move(reserved), options.target_port)));
}

LinkProxy::LinkProxy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LinkProxy::~LinkProxy() = default;

uint16_t LinkProxy::port() const {
  return impl_->port();
}

void LinkProxy::SetTarget(uint16_t port) {
  impl_->Do([&] { impl_->SetTarget(port); });
}

void LinkProxy::Cut() {
  impl_->Do([&] { impl_->Cut(); });
}

void LinkProxy::Refuse(bool refuse) {
  impl_->Do([&] {
    if (refuse) {
      impl_->StopListening();
    } else if (!impl_->listening()) {
      impl_->Listen();
    }
  });
}

void LinkProxy::Stall(Direction direction) {
  impl_->Do([&] { impl_->ForLanes(direction, [](LaneFaults& lane) { lane.stalled = true; }); });
}

void LinkProxy::Resume(Direction direction) {
  impl_->Do([&] { impl_->ForLanes(direction, [](LaneFaults& lane) { lane.stalled = false; }); });
}

void LinkProxy::HalfOpen() {
  impl_->Do([&] { impl_->HalfOpen(); });
}

void LinkProxy::Delay(Direction direction, absl::Duration one_way) {
  const auto delay = absl::ToChronoNanoseconds(one_way);
  impl_->Do([&] { impl_->ForLanes(direction, [&](LaneFaults& lane) { lane.delay = delay; }); });
}

void LinkProxy::Throttle(Direction direction, int64_t bits_per_second) {
  impl_->Do(
      [&] { impl_->ForLanes(direction, [&](LaneFaults& lane) { lane.gate.SetRate(bits_per_second); }); });
}

LinkCounters LinkProxy::counters() const {
  LinkCounters counters;
  impl_->Do([&] { counters = impl_->Count(); });
  return counters;
}

}  // namespace selvage::test
