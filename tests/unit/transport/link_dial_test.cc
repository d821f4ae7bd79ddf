#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "fabric/base/error.h"
#include "selvage/v1/admin.grpc.pb.h"
#include "tests/support/connect_proxy.h"
#include "tests/support/eventually.h"
#include "tests/support/link_proxy.h"
#include "tests/support/reserved_port.h"
#include "tests/unit/transport/raw_peer.h"
#include "tests/unit/transport/test_link.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kDialTimeout = absl::Seconds(30);

class LinkDialTest : public testing::Test {
 protected:
  /// Dials and waits for an error of this kind.
  absl::Status ErrorOf(LinkClient::Options options, std::string_view kind) {
    auto edge = world_.Edge(edge_, std::move(options));
    edge->Start();
    Eventually(kDialTimeout, [&] { return ErrorKind(edge->state().last_error) == kind; });
    absl::Status error = edge->state().last_error;
    EXPECT_EQ(ErrorKind(error), kind) << Describe(error);
    EXPECT_FALSE(edge->state().connected);
    EXPECT_TRUE(IsRetryable(error));
    EXPECT_FALSE(ErrorHint(error).empty());
    return error;
  }
  std::string RefusingAddress() { return "127.0.0.1:" + std::to_string(reserved_.port()); }

  Node edge_{true};
  Node core_{false};
  LinkWorld world_;  // last: its threads use the nodes
  ReservedPort reserved_ = *ReservePort();
};

TEST_F(LinkDialTest, SaysThatNothingListens) {
  absl::Status error = ErrorOf(world_.EdgeOptions({RefusingAddress()}), "connection_refused");
  EXPECT_THAT(std::string(error.message()), HasSubstr(RefusingAddress()));
  EXPECT_EQ(edge_.opened(), 0);
}

TEST_F(LinkDialTest, SaysThatANameDoesNotResolve) {
  ErrorOf(world_.EdgeOptions({"no-such-host.invalid:7443"}), "name_unresolved").IgnoreError();
}

TEST_F(LinkDialTest, SaysThatNobodyAnswers) {
  TestCore core(world_, core_);
  auto proxy = LinkProxy::Start({.target_port = static_cast<uint16_t>(core.port())});
  ASSERT_TRUE(proxy.ok());
  (*proxy)->Stall(Direction::kBoth);
  LinkClient::Options options = world_.EdgeOptions({"127.0.0.1:" + std::to_string((*proxy)->port())});
  options.connect_timeout = absl::Seconds(1);
  ErrorOf(options, "connect_timeout").IgnoreError();
}

TEST_F(LinkDialTest, SaysThatTheOwnCertificateHasExpired) {
  TestCore core(world_, core_);
  LinkClient::Options options = world_.EdgeOptions({core.address()});
  options.tls = world_.Certificate(Role::kEdge, "old", absl::Hours(1));
  absl::Status error = ErrorOf(options, "certificate_expired");
  EXPECT_THAT(std::string(error.message()), HasSubstr(options.tls.cert));
}

TEST_F(LinkDialTest, SaysThatTheEndsDoNotTrustEachOther) {
  TestCore core(world_, core_);
  LinkWorld other;
  LinkClient::Options options = world_.EdgeOptions({core.address()});
  options.tls = other.Certificate(Role::kEdge, "rig-7");
  absl::Status error = ErrorOf(options, "tls_failed");
  EXPECT_THAT(ErrorHint(error), HasSubstr(options.tls.ca));
  EXPECT_EQ(core.links().links(), 0u);
}

TEST_F(LinkDialTest, SaysThatTheCoreDoesNotTrustThisEdge) {
  TestCore core(world_, core_);
  LinkWorld other;
  LinkClient::Options options = world_.EdgeOptions({core.address()});
  const std::string ca = options.tls.ca;
  options.tls = other.Certificate(Role::kEdge, "rig-7");
  options.tls.ca = ca;  // the edge trusts the core, but not the other way round
  absl::Status error = ErrorOf(options, "certificate_foreign");
  EXPECT_THAT(std::string(error.message()), HasSubstr(options.tls.cert));
}

TEST_F(LinkDialTest, RefusesAServerThatIsNotTheCore) {
  RawCore impostor(ServerCredentials(world_.Certificate(Role::kEdge, "impostor")), {});
  absl::Status error = ErrorOf(world_.EdgeOptions({impostor.address()}), "tls_failed");
  EXPECT_THAT(std::string(error.message()), HasSubstr("impostor"));
}

TEST_F(LinkDialTest, SaysThatAServerIsNoCoreAtAll) {
  GrpcServer::Options listen{"127.0.0.1:0", ServerCredentials(world_.Certificate(Role::kCore, "main"))};
  v1::Admin::Service other;
  auto server = GrpcServer::Start(listen, world_.executor(), {&other});
  ASSERT_TRUE(server.ok());
  auto edge = world_.Edge(edge_, {"127.0.0.1:" + std::to_string((*server)->port())});
  edge->Start();
  EXPECT_TRUE(Eventually(kDialTimeout, [&] { return ErrorKind(edge->state().last_error) == "link_refused"; }))
      << edge->state().last_error;
}

TEST_F(LinkDialTest, GoesThroughAProxy) {
  MemoryLog& source = edge_.AddSource("s");
  core_.AddReplica("s");
  TestCore core(world_, core_);
  auto proxy = ConnectProxy::Start();
  ASSERT_TRUE(proxy.ok());
  const std::string address = "core.example.invalid:" + std::to_string(core.port());
  LinkClient::Options options = world_.EdgeOptions({address});
  options.http_proxy = "127.0.0.1:" + std::to_string((*proxy)->port());
  auto edge = world_.Edge(edge_, options);
  edge->Start();
  source.Append("through the proxy");
  ASSERT_TRUE(source.WaitForAcknowledged(1, kDialTimeout)) << edge->state().last_error;
  EXPECT_THAT((*proxy)->requests(), testing::ElementsAre(address));
}

TEST_F(LinkDialTest, SaysThatTheProxyRefuses) {
  auto proxy = ConnectProxy::Start();
  ASSERT_TRUE(proxy.ok());
  LinkClient::Options options =
      world_.EdgeOptions({"core.example.invalid:" + std::to_string(reserved_.port())});
  options.http_proxy = "127.0.0.1:" + std::to_string((*proxy)->port());
  absl::Status error = ErrorOf(options, "proxy_refused");
  EXPECT_THAT(std::string(error.message()), HasSubstr("502"));
}

TEST_F(LinkDialTest, SaysThatTheProxyIsNotThere) {
  LinkClient::Options options = world_.EdgeOptions({"core.example.invalid:7443"});
  options.http_proxy = RefusingAddress();
  absl::Status error = ErrorOf(options, "proxy_unreachable");
  EXPECT_THAT(std::string(error.message()), HasSubstr(RefusingAddress()));
}

TEST_F(LinkDialTest, IgnoresTheEnvironmentsProxy) {
  TestCore core(world_, core_);
  ASSERT_EQ(setenv("https_proxy", ("http://" + RefusingAddress()).c_str(), 1), 0);
  auto edge = world_.Edge(edge_, {core.address()});
  edge->Start();
  EXPECT_TRUE(Eventually(kDialTimeout, [&] { return edge->state().connected; })) << edge->state().last_error;
  unsetenv("https_proxy");
}

TEST_F(LinkDialTest, TriesTheNextAddress) {
  TestCore core(world_, core_);
  auto edge = world_.Edge(edge_, {RefusingAddress(), core.address()});
  edge->Start();
  EXPECT_TRUE(Eventually(kDialTimeout, [&] { return edge->state().connected; }));
  EXPECT_EQ(edge->state().address, core.address());
  EXPECT_EQ(edge->state().attempts, 2u);
}

TEST_F(LinkDialTest, FollowsARedirect) {
  TestCore core(world_, core_);
  replication::Message moved;
  moved.frame.mutable_close()->set_redirect(core.address());
  RawCore old(ServerCredentials(world_.Certificate(Role::kCore, "main")), moved);
  auto edge = world_.Edge(edge_, {old.address()});
  edge->Start();
  EXPECT_TRUE(Eventually(kDialTimeout, [&] { return edge->state().connected; })) << edge->state().last_error;
  EXPECT_EQ(edge->state().address, core.address());
}

TEST_F(LinkDialTest, WaitsAsLongAsTheCoreAsks) {
  replication::Message busy;
  busy.frame.mutable_close()->set_retry_after_ms(1500);
  RawCore core(ServerCredentials(world_.Certificate(Role::kCore, "main")), busy);
  auto edge = world_.Edge(edge_, {core.address()});
  edge->Start();
  ASSERT_TRUE(Eventually(kDialTimeout, [&] { return core.calls() == 1; }));
  const absl::Time first = absl::Now();
  ASSERT_TRUE(Eventually(kDialTimeout, [&] { return core.calls() == 2; }));
  EXPECT_GE(absl::Now() - first, absl::Milliseconds(1400));
}

TEST_F(LinkDialTest, BacksOffFromACoreThatClosesEveryLink) {
  replication::Message close;
  close.frame.mutable_close();
  RawCore core(ServerCredentials(world_.Certificate(Role::kCore, "main")), close);
  LinkClient::Options options = world_.EdgeOptions({core.address()});
  options.backoff_min = absl::Milliseconds(50);
  options.backoff_max = absl::Hours(1);
  auto edge = world_.Edge(edge_, options);
  edge->Start();
  absl::SleepFor(absl::Seconds(3));
  // Doubling from 50 ms, half of it on average: some seven in three seconds.
  EXPECT_LE(core.calls(), 30);
  EXPECT_GE(core.calls(), 2);
}

TEST_F(LinkDialTest, StopsInTimeWhateverItDoes) {
  TestCore core(world_, core_);
  auto proxy = LinkProxy::Start({.target_port = static_cast<uint16_t>(core.port())});
  ASSERT_TRUE(proxy.ok());
  (*proxy)->Stall(Direction::kBoth);
  LinkClient::Options waiting = world_.EdgeOptions({RefusingAddress()});
  waiting.backoff_min = waiting.backoff_max = absl::Hours(1);
  for (LinkClient::Options options :
       {world_.EdgeOptions({core.address()}), waiting,
        world_.EdgeOptions({"127.0.0.1:" + std::to_string((*proxy)->port())})}) {
    for (absl::Duration pause : {absl::ZeroDuration(), absl::Milliseconds(20), absl::Milliseconds(300)}) {
      auto edge = world_.Edge(edge_, options);
      edge->Start();
      absl::SleepFor(pause);
      const absl::Time begin = absl::Now();
      edge->Stop();
      EXPECT_LT(absl::Now() - begin, absl::Seconds(2)) << options.addresses.front();
    }
  }
}

TEST_F(LinkDialTest, StopsInTimeWhenTheNetworkIsStuckUnderLoad) {
  MemoryLog& source = edge_.AddSource("s");
  core_.AddReplica("s");
  for (std::string& body : Bodies(100, 256 << 10)) source.Append(std::move(body));
  TestCore core(world_, core_);
  auto proxy = LinkProxy::Start({.target_port = static_cast<uint16_t>(core.port())});
  ASSERT_TRUE(proxy.ok());
  LinkClient::Options options = world_.EdgeOptions({"127.0.0.1:" + std::to_string((*proxy)->port())});
  options.close_timeout = absl::Seconds(1);
  auto edge = world_.Edge(edge_, options);
  edge->Start();
  ASSERT_TRUE(source.WaitForAcknowledged(1, kDialTimeout));
  (*proxy)->HalfOpen();
  const absl::Time begin = absl::Now();
  edge->Stop();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(3));
  EXPECT_TRUE(edge_.WaitForEnd("edge_stopping", absl::ZeroDuration()));
}

}  // namespace
}  // namespace selvage::test
