#include "fabric/security/tls_files.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/security/files.h"
#include "fabric/security/pki.h"
#include "fabric/security/x509.h"
#include "tests/unit/security/odd_certificate.h"
#include "tests/unit/security/scratch_folder.h"

namespace selvage {
namespace {

class TlsFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(InitAuthority(ca_, "fleet", absl::Hours(24 * 10), now_).ok());
    files_ = IssueIn("out", "a");
    ASSERT_EQ(KindOf(files_, now_), "");
  }

  TlsFiles IssueIn(const std::string& folder, const std::string& id) {
    auto files = Issue(ca_, {Role::kEdge, id, absl::Hours(24), {}, {}}, folder_ / folder, now_);
    EXPECT_TRUE(files.ok()) << Describe(files.status());
    return files.ok() ? *files : TlsFiles{};
  }

  /// The kind of error, after looking at its form; empty when there is none.
  std::string KindOf(const TlsFiles& files, absl::Time now) {
    absl::Status status = CheckTlsFiles(files, now).status();
    EXPECT_EQ(ErrorHint(status).empty(), status.ok()) << status.message();
    return ErrorKind(status);
  }

  TlsFiles WithNames(const std::string& names, const std::string& usage = "clientAuth,serverAuth") {
    return OddCertificate(ca_, files_, folder_ / "odd.crt", names, now_, usage);
  }

  ScratchFolder folder_;
  const std::string ca_ = folder_ / "authority";
  const absl::Time now_ = SystemClock().Wall();
  TlsFiles files_;
};

TEST_F(TlsFilesTest, EachMissingFileIsNamed) {
  for (std::string TlsFiles::*member : {&TlsFiles::cert, &TlsFiles::key, &TlsFiles::ca}) {
    TlsFiles files = files_;
    files.*member = folder_ / "absent.pem";
    absl::Status status = CheckTlsFiles(files, now_).status();
    EXPECT_EQ(ErrorKind(status), "certificate_missing");
    EXPECT_NE(std::string(status.message()).find("absent.pem"), std::string::npos);
  }
}

TEST_F(TlsFilesTest, WhatIsNoFileIsUnreadable) {
  TlsFiles files = files_;
  files.cert = folder_ / "out";
  EXPECT_EQ(KindOf(files, now_), "certificate_unreadable");
  files.cert = "/dev/zero";
  EXPECT_EQ(KindOf(files, now_), "certificate_unreadable");
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  files.cert = folder_ / "pipe";
  EXPECT_EQ(KindOf(files, now_), "certificate_unreadable");
  ASSERT_TRUE(WriteCredentialFile(folder_ / "long", std::string(2 << 20, 'x'), 0600, Existing::kRefuse).ok());
  files.cert = folder_ / "long";
  EXPECT_EQ(KindOf(files, now_), "certificate_unreadable");
}

TEST_F(TlsFilesTest, AFileWithoutReadPermissionIsUnreadable) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  ASSERT_EQ(chmod(files_.key.c_str(), 0), 0);
  EXPECT_EQ(KindOf(files_, now_), "certificate_unreadable");
}

TEST_F(TlsFilesTest, WhatDoesNotParseIsInvalid) {
  std::string pem = *ReadCredentialFile(files_.cert);
  const std::string damaged = pem.substr(0, pem.size() / 2);
  for (const std::string& text : {std::string(), std::string("hello"), std::string("\0\xff\n", 3), damaged,
                                  pem + damaged, *ReadCredentialFile(files_.key)}) {
    ASSERT_TRUE(WriteCredentialFile(folder_ / "odd.crt", text, 0600, Existing::kReplace).ok());
    for (std::string TlsFiles::*member : {&TlsFiles::cert, &TlsFiles::ca}) {
      TlsFiles files = files_;
      files.*member = folder_ / "odd.crt";
      EXPECT_EQ(KindOf(files, now_), "certificate_invalid") << text;
    }
  }
  TlsFiles files = files_;
  files.key = files_.cert;
  EXPECT_EQ(KindOf(files, now_), "certificate_invalid");
}

TEST_F(TlsFilesTest, AnEncryptedKeyIsRefusedWithoutAskingForItsPassphrase) {
  auto key = ReadKey(files_.key);
  ASSERT_TRUE(key.ok());
  TlsFiles files = files_;
  files.key = folder_ / "encrypted.key";
  FILE* file = fopen(files.key.c_str(), "w");
  unsigned char passphrase[] = "secret";
  ASSERT_EQ(PEM_write_PKCS8PrivateKey(file, key->get(), EVP_aes_128_cbc(),
                                      reinterpret_cast<char*>(passphrase), 6, nullptr, nullptr),
            1);
  fclose(file);
  EXPECT_EQ(KindOf(files, now_), "certificate_invalid");
}

TEST_F(TlsFilesTest, AnothersKeyIsAMismatch) {
  TlsFiles files = files_;
  files.key = IssueIn("out", "b").key;
  EXPECT_EQ(KindOf(files, now_), "certificate_mismatch");
}

TEST_F(TlsFilesTest, TimesAreChecked) {
  EXPECT_EQ(KindOf(files_, now_ + absl::Hours(23)), "");
  EXPECT_EQ(KindOf(files_, now_ + absl::Hours(25)), "certificate_expired");
  EXPECT_EQ(KindOf(files_, now_ - absl::Hours(1)), "certificate_not_yet_valid");
}

TEST_F(TlsFilesTest, AnExpiredAuthorityIsNamedAsSuch) {
  const std::string ended = folder_ / "ended";
  ASSERT_TRUE(InitAuthority(ended, "fleet", absl::Minutes(1), now_ - absl::Hours(2)).ok());
  TlsFiles files = OddCertificate(ended, files_, folder_ / "odd.crt", "URI:spiffe://fleet/edge/a", now_);
  files.ca = ended + "/ca.crt";
  absl::Status status = CheckTlsFiles(files, now_).status();
  EXPECT_EQ(ErrorKind(status), "certificate_expired");
  EXPECT_NE(std::string(status.message()).find("an authority above"), std::string::npos);
}

TEST_F(TlsFilesTest, AnotherAuthorityIsForeign) {
  // Same names throughout, another key.
  ASSERT_TRUE(InitAuthority(folder_ / "second", "fleet", absl::Hours(24), now_).ok());
  TlsFiles files = files_;
  files.ca = folder_ / "second/ca.crt";
  EXPECT_EQ(KindOf(files, now_), "certificate_foreign");
}

TEST_F(TlsFilesTest, ExactlyOneSpiffeUri) {
  EXPECT_EQ(KindOf(WithNames("URI:spiffe://fleet/edge/a,DNS:localhost"), now_), "");
  for (const char* names : {"", "DNS:localhost", "URI:https://fleet/edge/a", "URI:spiffe://fleet/edge/A",
                            "URI:spiffe://fleet/edge/a,URI:spiffe://fleet/operator/a",
                            "URI:spiffe://fleet/edge/a,URI:https://fleet", "URI:spiffe://fleet"}) {
    EXPECT_EQ(KindOf(WithNames(names), now_), "certificate_identity") << names;
  }
}

TEST_F(TlsFilesTest, ThePurposeMustFitTheRole) {
  EXPECT_EQ(KindOf(WithNames("URI:spiffe://fleet/edge/a", "clientAuth"), now_), "");
  EXPECT_EQ(KindOf(WithNames("URI:spiffe://fleet/edge/a", "serverAuth"), now_), "certificate_invalid");
  EXPECT_EQ(KindOf(WithNames("URI:spiffe://fleet/core/a", "serverAuth"), now_), "");
  EXPECT_EQ(KindOf(WithNames("URI:spiffe://fleet/core/a", "clientAuth"), now_), "certificate_invalid");
}

TEST_F(TlsFilesTest, NotAfterOfNoCertificateIsAnError) {
  EXPECT_EQ(ErrorKind(CertificateNotAfter(folder_ / "absent").status()), "certificate_missing");
  EXPECT_EQ(ErrorKind(CertificateNotAfter(files_.key).status()), "certificate_invalid");
}

}  // namespace
}  // namespace selvage
