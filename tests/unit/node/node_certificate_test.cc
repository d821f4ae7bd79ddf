#include "fabric/daemon/node_certificate.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "fabric/base/error.h"
#include "fabric/security/pki.h"
#include "tests/support/test_dir.h"
#include "tests/unit/link/linked_nodes.h"

namespace selvage {
namespace {

using ::testing::HasSubstr;

class NodeCertificateTest : public ::testing::Test {
 protected:
  NodeCertificateTest() {
    node_.clock.JumpTo(now_);
    SELVAGE_CHECK(InitAuthority(dir_.File("ca"), "fleet", absl::Hours(24 * 1000), now_).ok());
  }
  /// Issues to the place where the node looks.
  void IssueHere(Role role, const std::string& id, absl::Duration life, absl::Time from) {
    const std::string out = dir_.File("issued");
    std::filesystem::remove_all(out);
    auto issued = Issue(dir_.File("ca"), {role, id, life, {}, {}}, out, from);
    SELVAGE_CHECK(issued.ok());
    std::filesystem::rename(issued->cert, files_.cert);
    std::filesystem::rename(issued->key, files_.key);
  }
  /// What is wrong in the view of the alarms, "" when nothing is; there is never more than one alarm.
  std::string Alarm() {
    const auto open = node_.state->alarms().All(false);
    EXPECT_LE(open.size(), 1u);
    return open.empty() ? "" : open.front().kind();
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  test::TestDir dir_;
  MemoryNode node_{"rig", true};
  const TlsFiles files_{dir_.File("rig.crt"), dir_.File("rig.key"), dir_.File("ca/ca.crt")};
  NodeCertificate certificate_{{files_, Role::kEdge, "rig"}, node_.state->alarms(), node_.clock};
};

TEST_F(NodeCertificateTest, FilesThatComeLateAreTakenUp) {
  certificate_.Look();
  EXPECT_EQ(ErrorKind(certificate_.problem()), "certificate_missing");
  EXPECT_EQ(ErrorKind(certificate_.TrustDomainToDial().status()), "certificate_missing");
  EXPECT_EQ(certificate_.trust_domain(), "") << "nobody is let in";
  EXPECT_EQ(certificate_.not_after(), std::nullopt);
  EXPECT_EQ(Alarm(), "certificate_missing");

  IssueHere(Role::kEdge, "rig", absl::Hours(24 * 100), now_);
  certificate_.LookIfDue();
  EXPECT_EQ(Alarm(), "certificate_missing") << "not each second";
  node_.clock.Advance(absl::Seconds(11));
  certificate_.LookIfDue();
  EXPECT_TRUE(certificate_.problem().ok());
  EXPECT_EQ(*certificate_.TrustDomainToDial(), "fleet");
  EXPECT_EQ(certificate_.trust_domain(), "fleet");
  EXPECT_EQ(Alarm(), "");

  std::filesystem::remove(files_.cert);
  certificate_.Look();
  EXPECT_EQ(ErrorKind(certificate_.TrustDomainToDial().status()), "certificate_missing");
  EXPECT_EQ(certificate_.trust_domain(), "fleet") << "whom it knew it still knows";
}

TEST_F(NodeCertificateTest, ABoardWithoutABatteryDialsAndIsRightOnceItsClockIs) {
  IssueHere(Role::kEdge, "rig", absl::Hours(24 * 100), now_);
  node_.clock.JumpTo(absl::UnixEpoch() + absl::Minutes(1));
  certificate_.Look();
  EXPECT_EQ(ErrorKind(certificate_.problem()), "certificate_not_yet_valid");
  EXPECT_EQ(*certificate_.TrustDomainToDial(), "fleet");
  EXPECT_EQ(Alarm(), "certificate_not_yet_valid");
  node_.clock.JumpTo(now_ + absl::Hours(1));
  certificate_.Look();
  EXPECT_TRUE(certificate_.problem().ok());
  EXPECT_EQ(Alarm(), "");
}

TEST_F(NodeCertificateTest, TheEndIsToldBeforeItComesAndUntilItIsRenewed) {
  IssueHere(Role::kEdge, "rig", absl::Hours(100), now_);
  node_.clock.JumpTo(now_ + absl::Hours(79));
  certificate_.Look();
  EXPECT_EQ(Alarm(), "");
  node_.clock.JumpTo(now_ + absl::Hours(81));
  certificate_.Look();
  EXPECT_EQ(Alarm(), "certificate_ends");
  EXPECT_TRUE(certificate_.problem().ok());
  node_.clock.JumpTo(now_ + absl::Hours(101));
  certificate_.Look();
  EXPECT_EQ(Alarm(), "certificate_expired");
  EXPECT_EQ(certificate_.not_after(), now_ + absl::Hours(100));
  EXPECT_EQ(*certificate_.TrustDomainToDial(), "fleet") << "the peer is the judge";
  IssueHere(Role::kEdge, "rig", absl::Hours(100), now_ + absl::Hours(101));
  certificate_.Look();
  EXPECT_EQ(Alarm(), "");
}

TEST_F(NodeCertificateTest, AnAuthorityThatEndsSoonIsToldToo) {
  IssueHere(Role::kEdge, "rig", absl::Hours(24 * 999), now_);
  node_.clock.JumpTo(now_ + absl::Hours(24 * 971));
  certificate_.Look();
  EXPECT_EQ(Alarm(), "certificate_ends") << "at most 30 days before";
}

TEST_F(NodeCertificateTest, WhatIsAnothersIsNotDialledWith) {
  for (auto [role, id] : {std::pair{Role::kEdge, "shop"}, std::pair{Role::kOperator, "rig"}}) {
    IssueHere(role, id, absl::Hours(100), now_);
    certificate_.Look();
    EXPECT_EQ(ErrorKind(certificate_.problem()), "certificate_identity");
    EXPECT_THAT(std::string(certificate_.problem().message()), HasSubstr("node.id is rig"));
    EXPECT_FALSE(certificate_.TrustDomainToDial().ok());
    EXPECT_EQ(Alarm(), "certificate_identity");
  }
}

TEST_F(NodeCertificateTest, AnEdgeThatWasRefusedIsAnAlarmAtTheNextLook) {
  IssueHere(Role::kEdge, "rig", absl::Hours(100), now_);
  certificate_.Look();
  certificate_.NoteRefusedEdge(
      "shop", MakeError(absl::StatusCode::kUnauthenticated, "certificate_expired", "it expired"));
  EXPECT_EQ(Alarm(), "");
  certificate_.LookIfDue();
  ASSERT_EQ(Alarm(), "edge_certificate");
  EXPECT_EQ(node_.OpenAlarm("edge_certificate")->subject(), "shop");
}

}  // namespace
}  // namespace selvage
