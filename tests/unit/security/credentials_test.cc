#include "fabric/security/credentials.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/security/pki.h"
#include "tests/unit/security/odd_certificate.h"
#include "tests/unit/security/scratch_folder.h"

namespace selvage {
namespace {

using testing::HasSubstr;

/// Answers any call with the caller's identity as trailing metadata, or with the error of PeerIdentity.
class WhoAmI final : public grpc::CallbackGenericService {
 public:
  /// `ahead`: how far in the future the service looks at certificates.
  explicit WhoAmI(absl::Duration ahead) : ahead_(ahead) {}
  int calls() const { return calls_; }

 private:
  class Reactor final : public grpc::ServerGenericBidiReactor {
   public:
    Reactor(grpc::GenericCallbackServerContext* context, absl::Duration ahead) {
      auto identity = PeerIdentity(*context->auth_context(), SystemClock().Wall() + ahead);
      if (!identity.ok()) {
        Finish(grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(identity.status().message())));
        return;
      }
      context->AddTrailingMetadata("identity", SpiffeUri(*identity));
      StartWriteAndFinish(&empty_, grpc::WriteOptions(), grpc::Status::OK);
    }
    void OnDone() override { delete this; }

   private:
    grpc::Slice none_;
    grpc::ByteBuffer empty_{&none_, 1};
  };

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    ++calls_;
    return new Reactor(context, ahead_);
  }

  const absl::Duration ahead_;
  std::atomic<int> calls_{0};
};

class Server {
 public:
  explicit Server(std::shared_ptr<grpc::ServerCredentials> credentials,
                  absl::Duration ahead = absl::ZeroDuration())
      : service_(ahead) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", std::move(credentials), &port_);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~Server() { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int calls() const { return service_.calls(); }

 private:
  WhoAmI service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

struct Answer {
  grpc::Status status;
  std::string identity;  ///< the caller's, as the server saw it
};

/// One call over a connection of its own.
Answer Call(const Server& server, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  grpc::GenericStub stub(grpc::CreateCustomChannel(server.address(), credentials, arguments));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  grpc::Slice none;
  grpc::ByteBuffer request(&none, 1);
  grpc::ByteBuffer response;
  Answer answer;
  absl::Notification done;
  stub.UnaryCall(&context, "/test/WhoAmI", grpc::StubOptions(), &request, &response,
                 [&](grpc::Status status) {
                   answer.status = std::move(status);
                   done.Notify();
                 });
  done.WaitForNotification();
  auto found = context.GetServerTrailingMetadata().find("identity");
  if (found != context.GetServerTrailingMetadata().end()) {
    answer.identity = std::string(found->second.data(), found->second.size());
  }
  return answer;
}

/// Repeats a call until it answers as wanted; false when it does not within half a minute.
bool Eventually(const std::function<bool()>& holds) {
  absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!holds()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(50));
  }
  return true;
}

void Replace(const std::string& from, const std::string& to) {
  std::filesystem::copy(from, to + ".new");
  std::filesystem::rename(to + ".new", to);
}

class CredentialsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(InitAuthority(ca_, "fleet", absl::Hours(24 * 30), now_ - absl::Hours(72)).ok());
    core_ = IssueFrom(ca_, Role::kCore, "main");
    edge_ = IssueFrom(ca_, Role::kEdge, "rig-7");
  }

  TlsFiles IssueFrom(const std::string& authority, Role role, const std::string& id, absl::Time at) {
    auto files = Issue(authority, {role, id, absl::Hours(24), {}, {}}, authority + "-issued", at);
    EXPECT_TRUE(files.ok()) << Describe(files.status());
    return files.ok() ? *files : TlsFiles{};
  }
  TlsFiles IssueFrom(const std::string& authority, Role role, const std::string& id) {
    return IssueFrom(authority, role, id, now_);
  }

  std::shared_ptr<grpc::ChannelCredentials> Client(const TlsFiles& files, const std::string& core_id = "") {
    return ChannelCredentials(files, {"fleet", Role::kCore, core_id}, absl::Seconds(1));
  }

  ScratchFolder folder_;
  const std::string ca_ = folder_ / "authority";
  const absl::Time now_ = SystemClock().Wall();
  TlsFiles core_;
  TlsFiles edge_;
};

TEST_F(CredentialsTest, BothEndsKnowEachOther) {
  Server server(ServerCredentials(core_));
  Answer edge = Call(server, Client(edge_, "main"));
  EXPECT_TRUE(edge.status.ok()) << edge.status.error_message();
  EXPECT_EQ(edge.identity, "spiffe://fleet/edge/rig-7");
  Answer person = Call(server, Client(IssueFrom(ca_, Role::kOperator, "alice")));
  EXPECT_EQ(person.identity, "spiffe://fleet/operator/alice");
}

TEST_F(CredentialsTest, RefusesAClientWithoutACertificate) {
  Server server(ServerCredentials(core_));
  grpc::SslCredentialsOptions options;
  std::ifstream ca(core_.ca);
  options.pem_root_certs.assign(std::istreambuf_iterator<char>(ca), {});
  EXPECT_EQ(Call(server, grpc::SslCredentials(options)).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Call(server, grpc::InsecureChannelCredentials()).status.error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.calls(), 0);
}

TEST_F(CredentialsTest, RefusesAClientOfAnotherAuthority) {
  ASSERT_TRUE(InitAuthority(folder_ / "other", "fleet", absl::Hours(240), now_).ok());
  TlsFiles foreign = IssueFrom(folder_ / "other", Role::kEdge, "rig-7");
  ASSERT_TRUE(CheckTlsFiles(foreign, now_).ok());
  foreign.ca = core_.ca;  // it trusts the server, but the server does not trust it
  Server server(ServerCredentials(core_));
  EXPECT_EQ(Call(server, Client(foreign)).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.calls(), 0);
}

TEST_F(CredentialsTest, RefusesAnExpiredClient) {
  TlsFiles old = IssueFrom(ca_, Role::kEdge, "rig-7", now_ - absl::Hours(48));
  ASSERT_EQ(ErrorKind(CheckTlsFiles(old, now_).status()), "certificate_expired");
  Server server(ServerCredentials(core_));
  // In words that say whose it is, not by a handshake that breaks off.
  Answer answer = Call(server, Client(old));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(answer.status.error_message(),
              HasSubstr("the certificate of spiffe://fleet/edge/rig-7 expired at"));
  EXPECT_EQ(answer.identity, "");
}

TEST_F(CredentialsTest, RefusesAClientOfTheFuture) {
  TlsFiles future = IssueFrom(ca_, Role::kEdge, "rig-7", now_ + absl::Hours(12));
  Server server(ServerCredentials(core_));
  Answer answer = Call(server, Client(future));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("is valid only from"));
}

TEST_F(CredentialsTest, WhoIsRefusedIsNamed) {
  ASSERT_TRUE(InitAuthority(folder_ / "elsewhere", "fleet", absl::Hours(240), now_).ok());
  TlsFiles foreign = IssueFrom(folder_ / "elsewhere", Role::kEdge, "rig-7");
  foreign.ca = core_.ca;
  absl::Mutex mutex;
  std::vector<std::string> refused;
  Server server(
      ServerCredentials(core_, kTlsReload, [&](const std::string& claimed, const absl::Status& why) {
        absl::MutexLock lock(&mutex);
        refused.push_back(claimed + " " + ErrorKind(why));
      }));
  EXPECT_EQ(Call(server, Client(foreign)).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.calls(), 0);
  absl::MutexLock lock(&mutex);
  EXPECT_THAT(refused, testing::Contains("spiffe://fleet/edge/rig-7 certificate_foreign"));
}

TEST_F(CredentialsTest, AServersCertificateIsNoClients) {
  Server server(ServerCredentials(core_));
  EXPECT_EQ(Call(server, Client(OddCertificate(ca_, edge_, folder_ / "odd.crt",
                                               "URI:spiffe://fleet/edge/rig-7", now_, "serverAuth")))
                .status.error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.calls(), 0);
}

TEST_F(CredentialsTest, AnIdentityEndsWithItsCertificate) {
  Server in_time(ServerCredentials(core_), absl::Hours(23));
  EXPECT_EQ(Call(in_time, Client(edge_)).identity, "spiffe://fleet/edge/rig-7");
  Server too_late(ServerCredentials(core_), absl::Hours(25));
  Answer answer = Call(too_late, Client(edge_));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(answer.status.error_message(),
              HasSubstr("the certificate of spiffe://fleet/edge/rig-7 expired at"));
}

TEST_F(CredentialsTest, AClientNeedsExactlyOneSpiffeUri) {
  Server server(ServerCredentials(core_));
  auto call_as = [&](const std::string& names) {
    return Call(server, Client(OddCertificate(ca_, edge_, folder_ / "odd.crt", names, now_)));
  };
  EXPECT_EQ(call_as("URI:spiffe://fleet/edge/rig-7").identity, "spiffe://fleet/edge/rig-7");
  for (const char* names :
       {"", "DNS:localhost", "URI:https://fleet/edge/rig-7", "URI:spiffe://fleet/edge/Rig",
        "URI:spiffe://fleet/edge/rig-7,URI:spiffe://fleet/operator/alice",
        "URI:spiffe://fleet/edge/rig-7,URI:https://fleet.example"}) {
    Answer answer = call_as(names);
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << names;
    EXPECT_EQ(answer.identity, "");
  }
}

TEST_F(CredentialsTest, AServerNeedsExactlyOneSpiffeUri) {
  for (const char* names : {"", "DNS:localhost", "URI:spiffe://fleet/core/Main",
                            "URI:spiffe://fleet/core/main,URI:spiffe://fleet/core/second"}) {
    Server server(ServerCredentials(OddCertificate(ca_, core_, folder_ / "odd.crt", names, now_)));
    EXPECT_EQ(Call(server, Client(edge_)).status.error_code(), grpc::StatusCode::UNAVAILABLE) << names;
    EXPECT_EQ(server.calls(), 0);
  }
}

TEST_F(CredentialsTest, RefusesAServerThatIsNotTheCore) {
  Server impostor(ServerCredentials(IssueFrom(ca_, Role::kEdge, "evil")));
  Answer answer = Call(impostor, Client(edge_));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(answer.status.error_message(),
              HasSubstr("expected the server to be spiffe://fleet/core/<any>, but it "
                        "is spiffe://fleet/edge/evil"));
  EXPECT_EQ(impostor.calls(), 0);
}

TEST_F(CredentialsTest, RefusesACoreOfAnotherIdOrTrustDomain) {
  Server server(ServerCredentials(core_));
  EXPECT_THAT(Call(server, Client(edge_, "second")).status.error_message(),
              HasSubstr("but it is spiffe://fleet/core/main"));
  auto elsewhere = ChannelCredentials(edge_, {"elsewhere", Role::kCore, ""});
  EXPECT_THAT(Call(server, elsewhere).status.error_message(),
              HasSubstr("but it is spiffe://fleet/core/main"));
  EXPECT_EQ(server.calls(), 0);
}

TEST_F(CredentialsTest, RefusesAnExpiredServer) {
  Server server(ServerCredentials(IssueFrom(ca_, Role::kCore, "main", now_ - absl::Hours(48))));
  EXPECT_EQ(Call(server, Client(edge_)).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.calls(), 0);
}

TEST_F(CredentialsTest, NewConnectionsTakeUpReplacedCertificates) {
  Server server(ServerCredentials(core_, absl::Seconds(1)));
  auto client = Client(edge_);
  ASSERT_EQ(Call(server, client).identity, "spiffe://fleet/edge/rig-7");

  TlsFiles next_edge = IssueFrom(ca_, Role::kEdge, "rig-8");
  Replace(next_edge.key, edge_.key);
  Replace(next_edge.cert, edge_.cert);
  EXPECT_TRUE(Eventually([&] { return Call(server, client).identity == "spiffe://fleet/edge/rig-8"; }));

  TlsFiles next_core = IssueFrom(ca_, Role::kCore, "second");
  Replace(next_core.key, core_.key);
  Replace(next_core.cert, core_.cert);
  auto expects_second = Client(edge_, "second");
  EXPECT_TRUE(Eventually([&] { return Call(server, expects_second).status.ok(); }));
}

TEST_F(CredentialsTest, AServerHealsAfterAKeyThatDidNotMatch) {
  Server server(ServerCredentials(core_, absl::Seconds(1)));
  auto client = Client(edge_);
  TlsFiles next = IssueFrom(ca_, Role::kCore, "second");
  Replace(next.key, core_.key);
  ASSERT_TRUE(Eventually([&] { return !Call(server, client).status.ok(); }));
  Replace(next.cert, core_.cert);
  auto expects_second = Client(edge_, "second");
  EXPECT_TRUE(Eventually([&] { return Call(server, expects_second).status.ok(); }));
}

TEST_F(CredentialsTest, AddedAuthoritiesAreTrusted) {
  ASSERT_TRUE(InitAuthority(folder_ / "next", "fleet", absl::Hours(240), now_).ok());
  TlsFiles edge = IssueFrom(folder_ / "next", Role::kEdge, "rig-9");
  edge.ca = edge_.ca;
  Server server(ServerCredentials(core_, absl::Seconds(1)));
  auto client = Client(edge);
  ASSERT_EQ(Call(server, client).status.error_code(), grpc::StatusCode::UNAVAILABLE);

  std::filesystem::copy(core_.ca, folder_ / "bundle");
  std::ofstream(folder_ / "bundle", std::ios::app) << std::ifstream(folder_ / "next/ca.crt").rdbuf();
  Replace(folder_ / "bundle", core_.ca);
  EXPECT_TRUE(Eventually([&] { return Call(server, client).identity == "spiffe://fleet/edge/rig-9"; }));
}

TEST_F(CredentialsTest, OneFileMayHoldCertificateAndKey) {
  std::ofstream(folder_ / "both.pem")
      << std::ifstream(edge_.cert).rdbuf() << std::ifstream(edge_.key).rdbuf();
  TlsFiles both{folder_ / "both.pem", folder_ / "both.pem", edge_.ca};
  ASSERT_TRUE(CheckTlsFiles(both, now_).ok());
  Server server(ServerCredentials(core_));
  EXPECT_EQ(Call(server, Client(both)).identity, "spiffe://fleet/edge/rig-7");
}

TEST(PeerIdentityTest, AConnectionWithoutTlsHasNoIdentity) {
  Server server(grpc::InsecureServerCredentials());
  Answer answer = Call(server, grpc::InsecureChannelCredentials());
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("no certificate with exactly one SPIFFE URI"));
}

}  // namespace
}  // namespace selvage
