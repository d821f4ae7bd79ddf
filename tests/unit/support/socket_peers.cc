#include "tests/unit/support/socket_peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/clock.h"

namespace selvage::test {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool Ready(int descriptor, short events, absl::Duration left) {
  pollfd watched{descriptor, events, 0};
  const auto milliseconds = static_cast<int>(absl::ToInt64Milliseconds(std::max(left, absl::ZeroDuration())));
  return poll(&watched, 1, milliseconds) > 0;
}

}  // namespace

Client::Client(uint16_t port) : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_in address = Loopback(port);
  const int yes = 1;
  setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    error_ = errno;
    Close();
  }
}

Client::Client(Client&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), error_(other.error_) {}

Client::~Client() {
  Close();
}

void Client::Close() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

void Client::ShutdownSend() {
  shutdown(descriptor_, SHUT_WR);
}

bool Client::Send(std::string_view data, absl::Duration deadline) {
  const absl::Duration until = SystemClock().Monotonic() + deadline;
  while (!data.empty()) {
    if (!Ready(descriptor_, POLLOUT, until - SystemClock().Monotonic())) return false;
    const ssize_t size = send(descriptor_, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN) return false;
    if (size > 0) data.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

size_t Client::SendUntilBlocked(absl::Duration quiet) {
  const std::string block(64 << 10, 'x');
  size_t total = 0;
  while (total < (32u << 20) && Ready(descriptor_, POLLOUT, quiet)) {
    const ssize_t size = send(descriptor_, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN) break;
    if (size > 0) total += static_cast<size_t>(size);
  }
  return total;
}

Outcome Client::Append(size_t most, std::string& data, absl::Duration deadline) {
  std::array<char, 64 << 10> buffer;
  if (!Ready(descriptor_, POLLIN, deadline)) return Outcome::kTimeout;
  const ssize_t got = recv(descriptor_, buffer.data(), std::min(buffer.size(), most), 0);
  if (got == 0) return Outcome::kEnd;
  if (got < 0) return Outcome::kReset;
  data.append(buffer.data(), static_cast<size_t>(got));
  return Outcome::kData;
}

Outcome Client::Receive(size_t size, std::string& data, absl::Duration deadline) {
  const absl::Duration until = SystemClock().Monotonic() + deadline;
  data.clear();
  while (data.size() < size) {
    const Outcome outcome = Append(size - data.size(), data, until - SystemClock().Monotonic());
    if (outcome != Outcome::kData) return outcome;
  }
  return Outcome::kData;
}

Outcome Client::ReceiveSome(std::string& data, absl::Duration deadline) {
  data.clear();
  return Append(SIZE_MAX, data, deadline);
}

Outcome Client::ReceiveEnd(absl::Duration deadline) {
  std::string ignored;
  return Receive(SIZE_MAX, ignored, deadline);
}

Server::Server() : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  SELVAGE_CHECK(bind(descriptor_, raw, size) == 0 && listen(descriptor_, SOMAXCONN) == 0);
  SELVAGE_CHECK(getsockname(descriptor_, raw, &size) == 0);
  port_ = ntohs(address.sin_port);
}

Server::~Server() {
  close(descriptor_);
}

Client Server::Accept(absl::Duration deadline) {
  if (!Ready(descriptor_, POLLIN, deadline)) return Client(Client::Adopted{-1});
  return Client(Client::Adopted{accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC)});
}

EchoServer::EchoServer() : acceptor_([this] { Serve(); }) {}

EchoServer::~EchoServer() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Client wake(port());
  acceptor_.join();
  wake.Close();
  for (std::thread& connection : connections_) connection.join();
}

void EchoServer::Serve() {
  while (true) {
    auto peer = std::make_shared<Client>(server_.Accept(absl::Hours(1)));
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
    }
    connections_.emplace_back([peer] {
      std::string data;
      while (peer->ReceiveSome(data) == Outcome::kData && peer->Send(data)) {
      }
    });
  }
}

}  // namespace selvage::test
