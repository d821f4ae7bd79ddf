#include "tests/unit/security/odd_certificate.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>

#include "fabric/security/x509.h"

namespace selvage {

TlsFiles OddCertificate(const std::string& authority_dir, const TlsFiles& files, const std::string& path,
                        const std::string& names, absl::Time now, const std::string& usage) {
  auto authority = ReadCertificates(authority_dir + "/ca.crt");
  auto authority_key = ReadKey(authority_dir + "/ca.key");
  auto key = ReadKey(files.key);
  X509Ptr leaf(X509_new());
  X509_set_version(leaf.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(leaf.get()), 7);
  ASN1_TIME_set(X509_getm_notBefore(leaf.get()), absl::ToTimeT(now - absl::Hours(1)));
  ASN1_TIME_set(X509_getm_notAfter(leaf.get()), absl::ToTimeT(now + absl::Hours(1)));
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(authority->front().get()));
  X509_set_pubkey(leaf.get(), key->get());
  X509V3_CTX context;
  X509V3_set_ctx(&context, authority->front().get(), leaf.get(), nullptr, nullptr, 0);
  auto add = [&](int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    EXPECT_EQ(X509_add_ext(leaf.get(), extension, -1), 1) << value;
    X509_EXTENSION_free(extension);
  };
  if (!names.empty()) add(NID_subject_alt_name, names);
  add(NID_ext_key_usage, usage);
  EXPECT_GT(X509_sign(leaf.get(), authority_key->get(), EVP_sha256()), 0);
  FILE* file = fopen(path.c_str(), "w");
  EXPECT_EQ(PEM_write_X509(file, leaf.get()), 1);
  fclose(file);
  TlsFiles odd = files;
  odd.cert = path;
  return odd;
}

}  // namespace selvage
