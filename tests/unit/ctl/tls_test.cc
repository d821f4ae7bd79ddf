#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "fabric/security/credentials.h"
#include "tests/support/test_dir.h"
#include "tests/unit/ctl/fake_admin.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using testing::HasSubstr;

/// A node behind mutual TLS, with identities made by `selvagectl pki`.
class TlsTest : public testing::Test {
 protected:
  TlsTest() { MakeAuthority("pki"); }

  void MakeAuthority(const std::string& name) {
    CtlRun run = RunCtl("", {"pki", "init", "--dir", dir_.File(name), "--trust-domain", "factory.example"});
    ASSERT_EQ(run.code, kDone) << run.err;
  }

  /// The identity's DIR/NAME.
  std::string Issue(const std::string& authority, const std::string& role, const std::string& id) {
    CtlRun run =
        RunCtl("", {"pki", "issue", "--dir", dir_.File(authority), "--role", role, "--id", id, "-o", "json"});
    EXPECT_EQ(run.code, kDone) << run.err;
    return std::string(boost::json::parse(run.out).at("identity").as_string());
  }

  void StartAs(const std::string& identity) {
    TlsFiles files{identity + ".crt", identity + ".key", dir_.File("pki") + "/ca.crt"};
    node_.AddStream("sensors", v1::UP, 1);
    node_.Start(ServerCredentials(files));
  }

  CtlRun ListAs(const std::string& identity) {
    return RunCtl(node_.address(), {"--identity", identity, "--timeout", "5s", "stream", "list"}, "",
                  [](World& world) { world.connect = OpenTlsChannel; });
  }

  test::TestDir dir_;
  FakeAdmin node_;
};

TEST_F(TlsTest, AnOperatorTalksToCores) {
  StartAs(Issue("pki", "core", "core-1"));
  CtlRun run = ListAs(Issue("pki", "operator", "ann"));
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_THAT(run.out, HasSubstr("sensors"));
}

TEST_F(TlsTest, AnOperatorTalksToEdges) {
  StartAs(Issue("pki", "edge", "rig-7"));
  EXPECT_EQ(ListAs(Issue("pki", "operator", "ann")).code, kDone);
}

TEST_F(TlsTest, AnotherAuthorityIsAClearError) {
  StartAs(Issue("pki", "core", "core-1"));
  MakeAuthority("other");
  CtlRun run = ListAs(Issue("other", "operator", "eve"));
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr(node_.address()));
  EXPECT_THAT(run.err, HasSubstr("from the same authority as yours?"));
}

TEST_F(TlsTest, MissingFilesAreNamed) {
  StartAs(Issue("pki", "core", "core-1"));
  CtlRun run = ListAs(dir_.File("pki") + "/operator-bob");
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("operator-bob.crt"));
}

TEST_F(TlsTest, NoIdentityAtAllIsAClearError) {
  CtlRun run =
      RunCtl("127.0.0.1:1", {"stream", "list"}, "", [](World& world) { world.connect = OpenTlsChannel; });
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("give --identity DIR/NAME"));
}

}  // namespace
}  // namespace selvage::ctl
