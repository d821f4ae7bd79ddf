#include "tests/support/reserved_port.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "fabric/base/error.h"

namespace selvage::test {

ReservedPort::~ReservedPort() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<ReservedPort> ReservePort(uint16_t port) {
  ReservedPort reserved(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const int yes = 1;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (reserved.descriptor_ < 0 ||
      setsockopt(reserved.descriptor_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(reserved.descriptor_, raw, size) != 0 || getsockname(reserved.descriptor_, raw, &size) != 0) {
    return MakeError(absl::StatusCode::kUnavailable, "port_not_reserved",
                     fmt::format("cannot reserve port {}: {}", port, std::strerror(errno)));
  }
  reserved.port_ = ntohs(address.sin_port);
  return reserved;
}

}  // namespace selvage::test
