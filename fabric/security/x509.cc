#include "fabric/security/x509.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "fabric/base/error.h"
#include "fabric/security/files.h"

namespace selvage {
namespace {

using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;

BioPtr ReaderOf(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::Status Invalid(std::string_view path, std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "certificate_invalid",
                   fmt::format("{} holds no {} that can be used: {}", path, what, OpensslError()),
                   fmt::format("it must hold a {} in PEM", what));
}

// Without this OpenSSL asks for the passphrase on the terminal.
int NoPassphrase(char*, int, int, void*) {
  return -1;
}

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

}  // namespace

std::string OpensslError() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string text = reason == nullptr ? "unknown reason" : reason;
  ERR_clear_error();
  return text;
}

absl::StatusOr<std::vector<X509Ptr>> ParseCertificates(const std::string& pem, std::string_view origin) {
  BioPtr reader = ReaderOf(pem);
  std::vector<X509Ptr> certificates;
  while (X509* certificate = PEM_read_bio_X509(reader.get(), nullptr, NoPassphrase, nullptr)) {
    certificates.emplace_back(certificate);
  }
  bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (certificates.empty() || !at_end) return Invalid(origin, "certificate");
  ERR_clear_error();
  return certificates;
}

absl::StatusOr<std::vector<X509Ptr>> ReadCertificates(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(std::string text, ReadCredentialFile(path));
  return ParseCertificates(text, path);
}

absl::StatusOr<KeyPtr> ReadKey(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(std::string text, ReadCredentialFile(path));
  KeyPtr key(PEM_read_bio_PrivateKey(ReaderOf(text).get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) return Invalid(path, "private key without a passphrase");
  return key;
}

std::vector<std::string> UriNames(const X509& certificate) {
  NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> uris;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  return uris;
}

absl::Time NotBefore(const X509& certificate) {
  return TimeOf(X509_get0_notBefore(&certificate));
}
absl::Time NotAfter(const X509& certificate) {
  return TimeOf(X509_get0_notAfter(&certificate));
}

}  // namespace selvage
