#include "fabric/security/tls_files.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/security/x509.h"

namespace selvage {
namespace {

using StorePtr = std::unique_ptr<X509_STORE, OpensslFree<X509_STORE_free>>;
using ContextPtr = std::unique_ptr<X509_STORE_CTX, OpensslFree<X509_STORE_CTX_free>>;

struct X509StackFree {
  // The certificates stay with their owners.
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), X509StackFree>;

absl::Status Refused(std::string_view kind, const std::string& message, std::string_view hint) {
  return MakeError(absl::StatusCode::kFailedPrecondition, kind, message, hint);
}

std::string Shown(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

absl::Status CheckKey(const TlsFiles& files, const X509& leaf) {
  SELVAGE_ASSIGN_OR_RETURN(KeyPtr key, ReadKey(files.key));
  if (X509_check_private_key(&leaf, key.get()) == 1) return absl::OkStatus();
  ERR_clear_error();
  return Refused("certificate_mismatch",
                 fmt::format("the key {} does not belong to the certificate {}", files.key, files.cert),
                 "name the two files that were issued together; when replacing them, replace both");
}

absl::Status CheckTimes(std::string_view what, const X509& certificate, absl::Time now) {
  absl::Time from = NotBefore(certificate);
  absl::Time until = NotAfter(certificate);
  if (now < from) {
    return Refused("certificate_not_yet_valid",
                   fmt::format("{} is valid only from {}; it is now {}", what, Shown(from), Shown(now)),
                   "check the clock of this machine");
  }
  if (now > until) {
    return Refused(
        "certificate_expired", fmt::format("{} expired at {}; it is now {}", what, Shown(until), Shown(now)),
        "put a new one in its place (a running process takes it up by itself), or check the clock of this "
        "machine");
  }
  return absl::OkStatus();
}

absl::StatusOr<Identity> IdentityOf(const std::string& path, const X509& leaf) {
  std::vector<std::string> uris = UriNames(leaf);
  if (uris.size() != 1) {
    return Refused("certificate_identity",
                   fmt::format("the certificate {} holds {} URIs among its alternative names instead of one",
                               path, uris.size()),
                   "it needs exactly one: spiffe://<trust domain>/<edge, core or operator>/<id>");
  }
  absl::StatusOr<Identity> identity = ParseSpiffeUri(uris.front());
  if (identity.ok()) return identity;
  return Refused("certificate_identity",
                 fmt::format("the certificate {}: {}", path, std::string(identity.status().message())),
                 ErrorHint(identity.status()));
}

absl::Status ChainError(const TlsFiles& files, X509_STORE_CTX* context, absl::Time now) {
  int error = X509_STORE_CTX_get_error(context);
  std::string reason = X509_verify_cert_error_string(error);
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return CheckTimes(fmt::format("an authority above the certificate {}", files.cert),
                        *X509_STORE_CTX_get_current_cert(context), now);
    case X509_V_ERR_INVALID_PURPOSE:
      return Refused(
          "certificate_invalid",
          fmt::format("the certificate {} may not be used for this: {}", files.cert, reason),
          "its extended key usage must allow a TLS server (core) or a TLS client (edge, operator)");
    default:
      return Refused(
          "certificate_foreign",
          fmt::format("the authorities in {} do not vouch for the certificate {}: {}", files.ca, files.cert,
                      reason),
          "use the authority that issued the certificate; intermediates follow it in its own file");
  }
}

// `chain` holds the leaf and its intermediates.
absl::Status CheckChain(const TlsFiles& files, const std::vector<X509Ptr>& chain, Role role, absl::Time now) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> roots, ReadCertificates(files.ca));
  StorePtr store(X509_STORE_new());
  for (const X509Ptr& root : roots) X509_STORE_add_cert(store.get(), root.get());
  StackPtr intermediates(sk_X509_new_null());
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(intermediates.get(), chain[i].get());

  ContextPtr context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), intermediates.get());
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, absl::ToTimeT(now));
  X509_VERIFY_PARAM_set_purpose(parameters,
                                role == Role::kCore ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();
  absl::Status status = ChainError(files, context.get(), now);
  ERR_clear_error();
  return status;
}

}  // namespace

absl::StatusOr<Identity> CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> chain, ReadCertificates(files.cert));
  const X509& leaf = *chain.front();
  SELVAGE_RETURN_IF_ERROR(CheckKey(files, leaf));
  SELVAGE_RETURN_IF_ERROR(CheckTimes(fmt::format("the certificate {}", files.cert), leaf, now));
  SELVAGE_ASSIGN_OR_RETURN(Identity identity, IdentityOf(files.cert, leaf));
  SELVAGE_RETURN_IF_ERROR(CheckChain(files, chain, identity.role, now));
  return identity;
}

absl::StatusOr<absl::Time> CertificateNotAfter(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> certificates, ReadCertificates(path));
  return NotAfter(*certificates.front());
}

}  // namespace selvage
