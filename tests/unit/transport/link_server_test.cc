#include "fabric/transport/link_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "absl/time/clock.h"
#include "fabric/base/error.h"
#include "fabric/security/credentials.h"
#include "fabric/transport/codec.h"
#include "fabric/transport/grpc_server.h"
#include "tests/support/eventually.h"
#include "tests/support/link_proxy.h"
#include "tests/unit/transport/raw_peer.h"
#include "tests/unit/transport/test_link.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kServeTimeout = absl::Seconds(30);

class LinkServerTest : public testing::Test {
 protected:
  std::shared_ptr<grpc::ChannelCredentials> Credentials(Role role, const std::string& id) {
    return ChannelCredentials(world_.Certificate(role, id), {"fleet", Role::kCore, ""});
  }
  LinkServer::HandlerFactory Factory() {
    return [this](const Identity&, std::function<void()> wake) {
      return std::make_shared<NodeHandler>(core_, world_.executor(), std::move(wake));
    };
  }
  /// The reason in the Close frame that ends the call.
  static absl::Status ReasonOf(const RawCall& call) {
    if (call.answers.empty() || !call.answers.back().frame.has_close()) return absl::OkStatus();
    return replication::FromProblem(call.answers.back().frame.close().problem());
  }

  Node edge_{true};
  Node core_{false};
  LinkWorld world_;  // last: its threads use the nodes
};

TEST_F(LinkServerTest, OnlyEdgesMayOpenALink) {
  TestCore core(world_, core_);
  RawCall call = CallLink(core.address(), Credentials(Role::kOperator, "ann"), {}, kServeTimeout);
  EXPECT_EQ(ErrorKind(ReasonOf(call)), "permission_denied") << call.status;
  EXPECT_FALSE(call.status.ok());
  EXPECT_EQ(core_.opened(), 0);
}

TEST_F(LinkServerTest, ARefusalByTheFactoryReachesTheEdge) {
  TestCore core(
      world_,
      [](const Identity& edge,
         const std::function<void()>&) -> absl::StatusOr<std::shared_ptr<replication::LinkHandler>> {
        return MakeError(absl::StatusCode::kPermissionDenied, "edge_retired", edge.id + " is retired",
                         "ask ann");
      },
      TestCore::DefaultOptions());
  auto edge = world_.Edge(edge_, {core.address()});
  edge->Start();
  ASSERT_TRUE(
      Eventually(kServeTimeout, [&] { return ErrorKind(edge->state().last_error) == "edge_retired"; }));
  absl::Status error = edge->state().last_error;
  EXPECT_EQ(error.message(), "rig-7 is retired");
  EXPECT_EQ(ErrorHint(error), "ask ann");
}

TEST_F(LinkServerTest, TooManyLinksAreRefusedAndSaidSo) {
  LinkServer::Options options = TestCore::DefaultOptions();
  options.max_links = 1;
  TestCore core(world_, Factory(), options);
  auto edge = world_.Edge(edge_, {core.address()});
  edge->Start();
  ASSERT_TRUE(Eventually(kServeTimeout, [&] { return edge->state().connected; }));
  RawCall call = CallLink(core.address(), Credentials(Role::kEdge, "rig-8"), {}, kServeTimeout);
  EXPECT_EQ(ErrorKind(ReasonOf(call)), "too_many_links");
  EXPECT_GT(call.answers.back().frame.close().retry_after_ms(), 0);
  EXPECT_EQ(call.status.code(), absl::StatusCode::kResourceExhausted);

  edge->Stop();
  ASSERT_TRUE(Eventually(kServeTimeout, [&] { return core.links().links() == 0; }));
  auto again = world_.Edge(edge_, {core.address()});
  again->Start();
  EXPECT_TRUE(Eventually(kServeTimeout, [&] { return again->state().connected; }));
}

TEST_F(LinkServerTest, GarbageClosesItsLinkAndNoOther) {
  MemoryLog& source = edge_.AddSource("s");
  core_.AddReplica("s");
  TestCore core(world_, core_);
  auto edge = world_.Edge(edge_, {core.address()});
  edge->Start();
  source.Append("before");
  ASSERT_TRUE(source.WaitForAcknowledged(1, kServeTimeout));
  auto credentials = Credentials(Role::kEdge, "rig-8");
  for (const std::string& garbage : {std::string("\xff\xff\xff\xff", 4),
                                     std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100'000, '\x0f')}) {
    RawCall call = CallLink(core.address(), credentials, {ToBuffer(garbage)}, kServeTimeout);
    EXPECT_EQ(ErrorKind(ReasonOf(call)), "malformed_frame") << call.status;
  }
  // A well-formed frame that has no place there, and one that gRPC itself refuses.
  replication::Message data;
  data.frame.mutable_data()->set_flow(9);
  data.payload = Bytes(std::string(5000, 'x'));
  EXPECT_EQ(ErrorKind(ReasonOf(CallLink(core.address(), credentials, {EncodeFrame(data)}, kServeTimeout))),
            "protocol_error");
  data.payload = Bytes(std::string(kFrameBytesMax, 'x'));
  EXPECT_FALSE(CallLink(core.address(), credentials, {EncodeFrame(data)}, kServeTimeout).status.ok());
  ASSERT_TRUE(core_.WaitForEnds(5, kServeTimeout));

  source.Append("after");
  EXPECT_TRUE(source.WaitForAcknowledged(2, kServeTimeout));
  EXPECT_EQ(edge->state().attempts, 1u);
}

TEST_F(LinkServerTest, StopTellsTheEdges) {
  auto core = std::make_unique<TestCore>(world_, core_);
  LinkClient::Options options = world_.EdgeOptions({core->address()});
  auto edge = world_.Edge(edge_, options);
  edge->Start();
  ASSERT_TRUE(Eventually(kServeTimeout, [&] { return edge->state().connected; }));
  const absl::Time begin = absl::Now();
  core->links().Stop(absl::Seconds(5), absl::Seconds(1));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
  EXPECT_EQ(core->links().links(), 0u);
  EXPECT_TRUE(edge_.WaitForEnd("core_stopping", kServeTimeout));
  EXPECT_TRUE(core_.WaitForEnd("core_stopping", kServeTimeout));
  // Until the server is gone, too, who dials is told.
  RawCall call = CallLink(core->address(), Credentials(Role::kEdge, "rig-8"), {}, kServeTimeout);
  EXPECT_EQ(ErrorKind(ReasonOf(call)), "core_stopping");
}

TEST_F(LinkServerTest, StopsInTimeWhenAnEdgeIsStuckUnderLoad) {
  MemoryLog& source = core_.AddSource("down");
  edge_.AddReplica("down");
  for (std::string& body : Bodies(100, 256 << 10)) source.Append(std::move(body));
  auto core = std::make_unique<TestCore>(world_, core_);
  auto proxy = LinkProxy::Start({.target_port = static_cast<uint16_t>(core->port())});
  ASSERT_TRUE(proxy.ok());
  auto edge = world_.Edge(edge_, {"127.0.0.1:" + std::to_string((*proxy)->port())});
  edge->Start();
  ASSERT_TRUE(source.WaitForAcknowledged(1, kServeTimeout));
  (*proxy)->HalfOpen();
  const absl::Time begin = absl::Now();
  core->links().Stop(absl::Seconds(1), absl::ZeroDuration());
  EXPECT_LT(absl::Now() - begin, absl::Seconds(3));
  core.reset();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

TEST_F(LinkServerTest, MoreConnectionsThanAllowedAreClosed) {
  LinkServer links(TestCore::DefaultOptions(), world_.executor(), SystemClock(), Factory());
  auto server = GrpcServer::Start({.address = "127.0.0.1:0",
                                   .credentials = ServerCredentials(world_.Certificate(Role::kCore, "main")),
                                   .connections_max = 2},
                                  world_.executor(), {&links.service()});
  ASSERT_TRUE(server.ok());
  boost::asio::io_context context;
  using Socket = boost::asio::ip::tcp::socket;
  const auto connect = [&] {
    Socket socket(context);
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>((*server)->port())});
    return socket;
  };
  const auto closed = [](Socket& socket) {
    char byte;
    boost::system::error_code error;
    socket.read_some(boost::asio::buffer(&byte, 1), error);
    return error.failed();
  };
  Socket first = connect();
  Socket second = connect();
  Socket third = connect();
  EXPECT_TRUE(closed(third));
  first.close();
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    // gRPC sends its settings once TLS is up; until then only a connection that is refused can be read.
    Socket again = connect();
    pollfd readable{again.native_handle(), POLLIN, 0};
    return ::poll(&readable, 1, 200) == 0;
  }));
  (*server)->Shutdown(absl::ZeroDuration());
  links.Stop(absl::ZeroDuration(), absl::ZeroDuration());
}

TEST_F(LinkServerTest, APortInUseIsAClearError) {
  TestCore core(world_, core_);
  LinkServer links(TestCore::DefaultOptions(), world_.executor(), SystemClock(), Factory());
  auto second =
      GrpcServer::Start({core.address(), ServerCredentials(world_.Certificate(Role::kCore, "main"))},
                        world_.executor(), {&links.service()});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(ErrorKind(second.status()), "listen_failed");
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(core.address()));
}

}  // namespace
}  // namespace selvage::test
