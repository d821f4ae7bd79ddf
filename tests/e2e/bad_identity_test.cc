#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "fabric/base/clock.h"
#include "fabric/replication/message.h"
#include "fabric/security/credentials.h"
#include "selvage/v1/link.grpc.pb.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TlsFiles FilesOf(const std::string& dir, const std::string& name) {
  return {dir + "/" + name + ".crt", dir + "/" + name + ".key", dir + "/ca.crt"};
}

class BadIdentityTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(cluster_.core(), Definition("readings", v1::UP)), IsOk());
    ASSERT_THAT(ProduceSoon(cluster_.edge(), At("readings"), BatchOf({"first"})), IsOk());
    foreign_ = cluster_.dir().File("foreign");
    ASSERT_THAT(InitAuthority(foreign_ + "-authority", "test.selvage.example", absl::Hours(24 * 90), now_),
                IsOk());
    for (auto [role, id] : {std::pair{Role::kEdge, "edge-0"}, std::pair{Role::kOperator, "ops"}}) {
      ASSERT_THAT(Issue(foreign_ + "-authority", {role, id, absl::Hours(24), {}, {}}, foreign_, now_),
                  IsOk());
      ASSERT_THAT(
          Issue(cluster_.authority(), {role, id, absl::Hours(1), {}, {}}, expired(), now_ - absl::Hours(48)),
          IsOk());
    }
  }

  std::string expired() const { return cluster_.dir().File("expired"); }

  /// selvagectl as somebody else: exit code 1 and this on standard error.
  void ExpectCtlFails(const TlsFiles& files, const std::string& what) {
    auto run = RunProgram({.args = {CtlProgram(), "--address", cluster_.core().admin_address(), "--cert",
                                    files.cert, "--key", files.key, "--ca", files.ca, "stream", "list"}});
    ASSERT_THAT(run, IsOk());
    EXPECT_EQ(run->exit.code, 1);
    EXPECT_THAT(run->err, AllOf(HasSubstr("error:"), HasSubstr(what)));
  }

  const absl::Time now_ = SystemClock().Wall();
  Cluster cluster_{{.edges = 2}};
  std::string foreign_;
};

TEST_F(BadIdentityTest, AnEdgeOfAnotherAuthorityIsNotLinkedAndSaysWhy) {
  auto stranger = cluster_.MakeEdge("edge-0", cluster_.core().admin_port(), "stranger",
                                    {{"tls.cert", foreign_ + "/edge-edge-0.crt"},
                                     {"tls.key", foreign_ + "/edge-edge-0.key"},
                                     {"tls.ca", foreign_ + "/ca.crt"}});
  ASSERT_THAT(stranger, IsOk());
  ASSERT_THAT((*stranger)->Start(), IsOk());
  EXPECT_TRUE(Eventually(absl::Seconds(15), [&] {
    return ReadFile((*stranger)->log_path()).find("certificate") != std::string::npos;
  })) << ReadFile((*stranger)->log_path());
  EXPECT_TRUE((*stranger)->running());
  EXPECT_TRUE(Summary(cluster_.core(), "edge-0")->connected()) << "the true edge was disturbed";
  EXPECT_THAT((*stranger)->Stop(), IsOk());
}

TEST_F(BadIdentityTest, SelvagectlSaysWhatIsWrongWithItsCertificate) {
  ExpectCtlFails({"/nowhere/ops.crt", "/nowhere/ops.key", "/nowhere/ca.crt"}, "/nowhere/");
  ExpectCtlFails(FilesOf(expired(), "operator-ops"), "expired");
  ExpectCtlFails(FilesOf(foreign_, "operator-ops"), "certificate");
  // An edge is no operator.
  ExpectCtlFails(FilesOf(cluster_.identities(), "edge-edge-0"), "edge-0");
  EXPECT_GE(cluster_.core().ErrorsCounted("permission_denied"), 1);
}

TEST_F(BadIdentityTest, AHelloInAnothersNameIsRefusedAndCounted) {
  const TlsFiles files = FilesOf(cluster_.identities(), "edge-edge-1");
  auto channel = grpc::CreateChannel(
      cluster_.core().admin_address(),
      ChannelCredentials(files, {.trust_domain = "test.selvage.example", .role = Role::kCore, .id = ""}));
  auto stub = v1::Link::NewStub(channel);
  grpc::ClientContext context;
  auto stream = stub->Connect(&context);
  v1::Frame hello;
  hello.mutable_hello()->set_protocol(replication::kLinkProtocol);
  hello.mutable_hello()->set_edge("edge-0");
  hello.mutable_hello()->set_store_id(std::string(16, 's'));
  hello.mutable_hello()->set_boot_id(std::string(16, 'b'));
  ASSERT_TRUE(stream->Write(hello));
  v1::Frame answer;
  while (stream->Read(&answer) && !answer.has_close()) {
  }
  ASSERT_TRUE(answer.has_close());
  EXPECT_EQ(answer.close().problem().kind(), "permission_denied");
  EXPECT_THAT(answer.close().problem().message(), AllOf(HasSubstr("edge-0"), HasSubstr("edge-1")));
  context.TryCancel();
  EXPECT_TRUE(
      Eventually(absl::Seconds(5), [&] { return cluster_.core().ErrorsCounted("permission_denied") >= 1; }));
  EXPECT_TRUE(Summary(cluster_.core(), "edge-0")->connected());
}

}  // namespace
}  // namespace selvage::test
