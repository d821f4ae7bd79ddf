#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace selvage {

template <auto free>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;

/// All certificates in a PEM text in their order, at least one; `origin` names the text in the error, which
/// is "certificate_invalid" when it holds none or one that does not parse.
absl::StatusOr<std::vector<X509Ptr>> ParseCertificates(const std::string& pem, std::string_view origin);

/// The same of a file. Errors: those of ReadCredentialFile and of ParseCertificates.
absl::StatusOr<std::vector<X509Ptr>> ReadCertificates(const std::string& path);

/// The private key of a PEM file. Never asks for a passphrase: an encrypted key is "certificate_invalid".
absl::StatusOr<KeyPtr> ReadKey(const std::string& path);

/// The URIs among the subject alternative names, as they stand.
std::vector<std::string> UriNames(const X509& certificate);

absl::Time NotBefore(const X509& certificate);
absl::Time NotAfter(const X509& certificate);

/// OpenSSL's reason for the last failure in this thread; empties its error queue.
std::string OpensslError();

}  // namespace selvage
