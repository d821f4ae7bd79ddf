#include "fabric/security/pki.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/security/files.h"
#include "fabric/security/x509.h"
#include "tests/unit/security/scratch_folder.h"

namespace selvage {
namespace {

mode_t ModeOf(const std::string& path) {
  struct stat about {};
  EXPECT_EQ(stat(path.c_str(), &about), 0) << path;
  return about.st_mode & 07777;
}

class PkiTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(InitAuthority(ca_, "fleet.example", absl::Hours(24 * 365), now_).ok());
  }

  absl::StatusOr<TlsFiles> IssueEdge(const std::string& id) {
    return Issue(ca_, {Role::kEdge, id, absl::Hours(24), {}, {}}, out_, now_);
  }

  ScratchFolder folder_;
  const std::string ca_ = folder_ / "authority";
  const std::string out_ = folder_ / "out";
  const absl::Time now_ = SystemClock().Wall();
};

TEST_F(PkiTest, RoundTripOfEachRole) {
  for (Role role : {Role::kEdge, Role::kCore, Role::kOperator}) {
    auto files = Issue(ca_, {role, "n1", absl::Hours(24), {}, {}}, out_, now_);
    ASSERT_TRUE(files.ok()) << Describe(files.status());
    auto identity = CheckTlsFiles(*files, now_);
    ASSERT_TRUE(identity.ok()) << Describe(identity.status());
    EXPECT_EQ(*identity, (Identity{"fleet.example", role, "n1"}));
    EXPECT_EQ(ModeOf(files->key), 0600u);
    auto until = CertificateNotAfter(files->cert);
    ASSERT_TRUE(until.ok());
    EXPECT_LE(absl::AbsDuration(*until - (now_ + absl::Hours(24))), absl::Seconds(1));
  }
  EXPECT_EQ(ModeOf(ca_ + "/ca.key"), 0600u);
}

TEST_F(PkiTest, LeavesNoTemporaryFilesAndDoesNotSpreadTheAuthoritysKey) {
  ASSERT_TRUE(IssueEdge("a").ok());
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(out_))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"ca.crt", "edge-a.crt", "edge-a.key"}));
}

TEST_F(PkiTest, CertificateIsShapedAsPromised) {
  auto files =
      Issue(ca_, {Role::kCore, "main", absl::Hours(24), {"core.example.org"}, {"10.1.2.3"}}, out_, now_);
  ASSERT_TRUE(files.ok()) << Describe(files.status());
  auto chain = ReadCertificates(files->cert);
  ASSERT_TRUE(chain.ok());
  X509* leaf = chain->front().get();
  EXPECT_EQ(UriNames(*leaf), std::vector<std::string>{"spiffe://fleet.example/core/main"});
  for (const char* host : {"localhost", "core.example.org"})
    EXPECT_EQ(X509_check_host(leaf, host, 0, 0, nullptr), 1);
  for (const char* ip : {"127.0.0.1", "::1", "10.1.2.3"}) EXPECT_EQ(X509_check_ip_asc(leaf, ip, 0), 1) << ip;
  EXPECT_NE(X509_check_host(leaf, "elsewhere.example.org", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_get_key_usage(leaf), static_cast<uint32_t>(KU_DIGITAL_SIGNATURE));
  EXPECT_EQ(X509_get_extended_key_usage(leaf), static_cast<uint32_t>(XKU_SSL_SERVER | XKU_SSL_CLIENT));
  EXPECT_EQ(X509_check_ca(leaf), 0);
  EXPECT_EQ(EVP_PKEY_get_base_id(X509_get0_pubkey(leaf)), EVP_PKEY_EC);
  EXPECT_EQ(EVP_PKEY_get_bits(X509_get0_pubkey(leaf)), 256);

  auto authority = ReadCertificates(files->ca);
  ASSERT_TRUE(authority.ok());
  EXPECT_EQ(X509_check_ca(authority->front().get()), 1);
  EXPECT_EQ(X509_get_pathlen(authority->front().get()), 0);
}

TEST_F(PkiTest, AnOperatorsCertificateNamesNoHost) {
  auto files = Issue(ca_, {Role::kOperator, "alice", absl::Hours(24), {}, {}}, out_, now_);
  ASSERT_TRUE(files.ok());
  auto chain = ReadCertificates(files->cert);
  ASSERT_TRUE(chain.ok());
  EXPECT_NE(X509_check_host(chain->front().get(), "localhost", 0, 0, nullptr), 1);
  EXPECT_NE(X509_check_ip_asc(chain->front().get(), "127.0.0.1", 0), 1);
}

TEST_F(PkiTest, RenewalReplacesKeyAndCertificateWithANewSerial) {
  auto first = IssueEdge("a");
  ASSERT_TRUE(first.ok());
  std::string old_cert = *ReadCredentialFile(first->cert);
  std::string old_key = *ReadCredentialFile(first->key);
  auto old_leaf = ReadCertificates(first->cert);
  auto second = IssueEdge("a");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->cert, first->cert);
  EXPECT_NE(*ReadCredentialFile(second->cert), old_cert);
  EXPECT_NE(*ReadCredentialFile(second->key), old_key);
  EXPECT_TRUE(CheckTlsFiles(*second, now_).ok());
  auto new_leaf = ReadCertificates(second->cert);
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(old_leaf->front().get()),
                             X509_get0_serialNumber(new_leaf->front().get())),
            0);
}

TEST_F(PkiTest, AnAuthorityIsNeverReplaced) {
  std::string key = *ReadCredentialFile(ca_ + "/ca.key");
  EXPECT_EQ(ErrorKind(InitAuthority(ca_, "fleet.example", absl::Hours(1), now_)), "file_exists");
  std::filesystem::remove(ca_ + "/ca.crt");
  EXPECT_EQ(ErrorKind(InitAuthority(ca_, "fleet.example", absl::Hours(1), now_)), "file_exists");
  EXPECT_EQ(*ReadCredentialFile(ca_ + "/ca.key"), key);
}

TEST_F(PkiTest, TrustDomainComesFromTheCertificate) {
  EXPECT_EQ(*AuthorityTrustDomain(ca_), "fleet.example");
  EXPECT_EQ(ErrorKind(AuthorityTrustDomain(folder_ / "nowhere").status()), "certificate_missing");
  // A certificate that is no authority of ours.
  auto files = IssueEdge("a");
  ASSERT_TRUE(files.ok());
  std::filesystem::create_directory(folder_ / "odd");
  std::filesystem::copy(files->cert, folder_ / "odd/ca.crt");
  EXPECT_EQ(ErrorKind(AuthorityTrustDomain(folder_ / "odd").status()), "certificate_identity");
}

TEST_F(PkiTest, RefusesBadRequests) {
  struct Case {
    IssueRequest request;
    std::string kind;
  };
  const std::vector<Case> cases = {
      {{Role::kEdge, "A", absl::Hours(1), {}, {}}, "invalid_name"},
      {{Role::kEdge, "../a", absl::Hours(1), {}, {}}, "invalid_name"},
      {{Role::kEdge, "", absl::Hours(1), {}, {}}, "invalid_name"},
      {{Role::kEdge, "a", absl::Hours(1), {"a,URI:spiffe://x"}, {}}, "invalid_name"},
      {{Role::kEdge, "a", absl::Hours(1), {}, {"300.1.1.1"}}, "invalid_name"},
      {{Role::kEdge, "a", absl::ZeroDuration(), {}, {}}, "validity_too_long"},
      {{Role::kEdge, "a", absl::Hours(24 * 366), {}, {}}, "validity_too_long"},
  };
  for (const Case& c : cases)
    EXPECT_EQ(ErrorKind(Issue(ca_, c.request, out_, now_).status()), c.kind) << c.request.id;
  EXPECT_FALSE(std::filesystem::exists(out_));
  EXPECT_EQ(ErrorKind(InitAuthority(folder_ / "x", "Not A Domain", absl::Hours(1), now_)), "invalid_name");
}

TEST_F(PkiTest, DoesNotMixAuthoritiesInOneFolder) {
  ASSERT_TRUE(IssueEdge("a").ok());
  ASSERT_TRUE(InitAuthority(folder_ / "second", "fleet.example", absl::Hours(24), now_).ok());
  const IssueRequest request{Role::kEdge, "b", absl::Hours(1), {}, {}};
  EXPECT_EQ(ErrorKind(Issue(folder_ / "second", request, out_, now_).status()), "authority_differs");
  // A bundle of both is what a change of authority needs; it stays as it is.
  std::string bundle = *ReadCredentialFile(ca_ + "/ca.crt") + *ReadCredentialFile(folder_ / "second/ca.crt");
  ASSERT_TRUE(WriteCredentialFile(out_ + "/ca.crt", bundle, 0644, Existing::kReplace).ok());
  auto files = Issue(folder_ / "second", request, out_, now_);
  ASSERT_TRUE(files.ok()) << Describe(files.status());
  EXPECT_EQ(*ReadCredentialFile(out_ + "/ca.crt"), bundle);
  EXPECT_TRUE(CheckTlsFiles(*files, now_).ok());
}

TEST_F(PkiTest, RefusesAnAuthorityWhoseKeyIsAnothers) {
  ASSERT_TRUE(InitAuthority(folder_ / "second", "fleet.example", absl::Hours(24), now_).ok());
  std::filesystem::copy(folder_ / "second/ca.key", ca_ + "/ca.key",
                        std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(ErrorKind(IssueEdge("a").status()), "certificate_mismatch");
}

TEST_F(PkiTest, LongestNamesFit) {
  const std::string label(63, 'x');
  const std::string domain = label + "." + label + "." + label + "." + std::string(61, 'y');
  ASSERT_TRUE(InitAuthority(folder_ / "long", domain, absl::Hours(24), now_).ok());
  auto files = Issue(folder_ / "long", {Role::kOperator, label, absl::Hours(1), {}, {}}, out_, now_);
  ASSERT_TRUE(files.ok()) << Describe(files.status());
  auto identity = CheckTlsFiles(*files, now_);
  ASSERT_TRUE(identity.ok()) << Describe(identity.status());
  EXPECT_EQ(*identity, (Identity{domain, Role::kOperator, label}));
}

}  // namespace
}  // namespace selvage
