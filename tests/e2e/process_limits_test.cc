#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

/// A daemon under limits of the system that are too low for it, or for its clients.
namespace selvage::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

#if defined(ABSL_HAVE_ADDRESS_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
constexpr bool kSanitized = true;  // their shadow memory does not fit under a limit of address space
#else
constexpr bool kSanitized = false;
#endif

class ProcessLimitsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(cluster_.Prepare(), IsOk()); }

  /// Connections to the port that stay open, so many of `wanted` as the system gives.
  std::vector<int> Connect(uint16_t port, int wanted) {
    std::vector<int> sockets;
    for (int i = 0; i < wanted; ++i) {
      const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (socket < 0) break;
      sockets.push_back(socket);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) break;
    }
    return sockets;
  }

  Cluster cluster_{{.edges = 1}};
};

TEST_F(ProcessLimitsTest, ClientsLeaveDescriptorsToStoreLinkAndOperators) {
  Daemon& core = cluster_.core();
  Daemon& edge = cluster_.edge();
  ASSERT_THAT(core.Start(), IsOk());
  ASSERT_THAT(CreateStream(core, Definition("readings", v1::UP)), IsOk());
  // Soft and hard: it cannot be raised.
  ASSERT_THAT(edge.SpawnUnder("-n 256"), IsOk());
  ASSERT_THAT(edge.AwaitReady(), IsOk());
  EXPECT_EQ(edge.Metric("process_max_fds"), 256);
  const std::vector<int> kafka = Connect(edge.kafka_port(), 300);
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    return edge.Metric("selvage_connections_refused_total{listener=\"kafka\"}") > 100;
  }));
  const std::vector<int> admin = Connect(edge.admin_port(), 100);
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    return edge.Metric("selvage_connections_refused_total{listener=\"grpc\"}") > 10;
  }));
  EXPECT_LE(edge.Metric("process_open_fds"), 240);
  EXPECT_TRUE(edge.Get("/healthz").ok());
  EXPECT_THAT(ReadFile(edge.log_path()),
              AllOf(HasSubstr("leaves less for clients"), HasSubstr("is turned away")));
  for (int socket : admin) ::close(socket);
  // The store, the link and an operator work while Kafka clients hold all that is theirs.
  ASSERT_THAT(ProduceSoon(edge, At("readings"), BatchOf({"first"})), IsOk());
  ASSERT_THAT(AwaitReplicated(edge, "edge-0", core, "readings"), IsOk());
  for (int socket : kafka) ::close(socket);
  ASSERT_THAT(edge.Stop(), IsOk());
}

TEST_F(ProcessLimitsTest, TheSoftLimitOfDescriptorsIsRaised) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  Daemon& edge = cluster_.edge();
  ASSERT_THAT(edge.SpawnUnder("-S -n 256"), IsOk());
  ASSERT_THAT(edge.AwaitReady(), IsOk());
  EXPECT_EQ(edge.Metric("process_max_fds"), static_cast<double>(limit.rlim_max));
}

TEST_F(ProcessLimitsTest, TooFewDescriptorsAreAClearError) {
  Daemon& edge = cluster_.edge();
  ASSERT_THAT(edge.SpawnUnder("-n 100"), IsOk());
  auto exit = edge.AwaitExit(absl::Seconds(20));
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->code, 1);
  EXPECT_THAT(ReadFile(edge.log_path()), AllOf(HasSubstr("too_few_descriptors"), HasSubstr("ulimit -n")));
}

TEST_F(ProcessLimitsTest, TooLittleAddressSpaceIsAClearError) {
  if (kSanitized) GTEST_SKIP() << "not under a sanitizer";
  Daemon& edge = cluster_.edge();
  ASSERT_THAT(edge.SpawnUnder("-v 300000"), IsOk());
  auto exit = edge.AwaitExit(absl::Seconds(20));
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->code, 1);
  const std::string log = ReadFile(edge.log_path());
  EXPECT_THAT(log, HasSubstr("ulimit -v (address space) 300000 KiB"));
  EXPECT_THAT(log, Not(HasSubstr("terminate called")));
}

}  // namespace
}  // namespace selvage::test
