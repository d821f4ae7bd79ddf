#include "tests/support/reserved_port.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "fabric/base/error.h"

namespace selvage::test {
namespace {

// Listens as a daemon does; a negative number when the port is taken.
int Listen(uint16_t port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int yes = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      listen(descriptor, 8) == 0) {
    return descriptor;
  }
  close(descriptor);
  return -1;
}

TEST(ReservedPortTest, AServerMayListenOnItAgainAndAgain) {
  const auto reserved = ReservePort();
  ASSERT_TRUE(reserved.ok()) << reserved.status();
  for (int round = 0; round < 3; ++round) {
    const int listening = Listen(reserved->port());
    ASSERT_GE(listening, 0);
    close(listening);
  }
}

TEST(ReservedPortTest, NobodyElseIsGivenIt) {
  std::vector<ReservedPort> held;
  std::set<uint16_t> ports;
  for (int i = 0; i < 200; ++i) {
    auto reserved = ReservePort();
    ASSERT_TRUE(reserved.ok()) << reserved.status();
    EXPECT_TRUE(ports.insert(reserved->port()).second);
    held.push_back(std::move(*reserved));
  }
}

TEST(ReservedPortTest, APortThatIsListenedOnIsAnError) {
  auto reserved = ReservePort();
  ASSERT_TRUE(reserved.ok()) << reserved.status();
  const int listening = Listen(reserved->port());
  ASSERT_GE(listening, 0);
  EXPECT_EQ(ErrorKind(ReservePort(reserved->port()).status()), "port_not_reserved");
  close(listening);
}

}  // namespace
}  // namespace selvage::test
