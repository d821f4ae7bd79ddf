#include "fabric/security/tls_files.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
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

/// As OpenSSL's security level 2: 112 bits, what TLS asks of a chain on Debian.
constexpr int kSecurityLevel = 2;

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
  return CheckPeriod(what, NotBefore(certificate), NotAfter(certificate), now);
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

/// What a chain is checked for, and how its parts are called in an error.
struct ChainCheck {
  std::string ca;    ///< file of the authorities
  std::string leaf;  ///< as it is called
  int purpose = X509_PURPOSE_SSL_CLIENT;
  bool any_leaf_date = false;
  absl::Time now;
};

absl::Status ChainError(const ChainCheck& check, X509_STORE_CTX* context) {
  int error = X509_STORE_CTX_get_error(context);
  std::string reason = X509_verify_cert_error_string(error);
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: {
      const X509& at = *X509_STORE_CTX_get_current_cert(context);
      absl::Status times = CheckTimes(fmt::format("an authority above {}", check.leaf), at, check.now);
      if (!times.ok()) return times;
      break;  // OpenSSL counts the last second otherwise
    }
    case X509_V_ERR_INVALID_PURPOSE:
      return Refused(
          "certificate_invalid", fmt::format("{} may not be used for this: {}", check.leaf, reason),
          "its extended key usage must allow a TLS server (core) or a TLS client (edge, operator)");
    default:
      break;
  }
  return Refused("certificate_foreign",
                 fmt::format("the authorities in {} do not vouch for {}: {}", check.ca, check.leaf, reason),
                 "use the authority that issued the certificate; intermediates follow it in its own file");
}

/// Lets the dates of the first certificate pass; whoever asks for this checks them itself.
int AllowAnyLeafDate(int ok, X509_STORE_CTX* context) {
  if (ok == 1 || X509_STORE_CTX_get_error_depth(context) != 0) return ok;
  const int error = X509_STORE_CTX_get_error(context);
  if (error != X509_V_ERR_CERT_HAS_EXPIRED && error != X509_V_ERR_CERT_NOT_YET_VALID) return ok;
  X509_STORE_CTX_set_error(context, X509_V_OK);
  return 1;
}

/// `chain` holds the leaf and its intermediates. The first end of all that was needed.
absl::StatusOr<absl::Time> CheckChain(const ChainCheck& check, const std::vector<X509Ptr>& chain) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> roots, ReadCertificates(check.ca));
  StorePtr store(X509_STORE_new());
  for (const X509Ptr& root : roots) X509_STORE_add_cert(store.get(), root.get());
  StackPtr intermediates(sk_X509_new_null());
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(intermediates.get(), chain[i].get());

  ContextPtr context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), intermediates.get());
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, absl::ToTimeT(check.now));
  X509_VERIFY_PARAM_set_purpose(parameters, check.purpose);
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  if (check.any_leaf_date) X509_STORE_CTX_set_verify_cb(context.get(), AllowAnyLeafDate);
  if (X509_verify_cert(context.get()) != 1) {
    absl::Status status = ChainError(check, context.get());
    ERR_clear_error();
    return status;
  }
  absl::Time until = absl::InfiniteFuture();
  STACK_OF(X509)* verified = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(verified); ++i)
    until = std::min(until, NotAfter(*sk_X509_value(verified, i)));
  return until;
}

absl::StatusOr<UsableFiles> InspectFiles(const TlsFiles& files, absl::Time now) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> chain, ReadCertificates(files.cert));
  const X509& leaf = *chain.front();
  const std::string name = fmt::format("the certificate {}", files.cert);
  SELVAGE_RETURN_IF_ERROR(CheckKey(files, leaf));
  SELVAGE_RETURN_IF_ERROR(CheckTimes(name, leaf, now));
  UsableFiles usable{.identity = {}, .from = NotBefore(leaf), .until = NotAfter(leaf), .chain_until = {}};
  SELVAGE_ASSIGN_OR_RETURN(usable.identity, IdentityOf(files.cert, leaf));
  const int purpose = usable.identity.role == Role::kCore ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
  SELVAGE_ASSIGN_OR_RETURN(
      usable.chain_until,
      CheckChain({.ca = files.ca, .leaf = name, .purpose = purpose, .any_leaf_date = false, .now = now},
                 chain));
  return usable;
}

}  // namespace

absl::Status CheckPeriod(std::string_view what, absl::Time from, absl::Time until, absl::Time now) {
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

absl::StatusOr<Identity> CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  SELVAGE_ASSIGN_OR_RETURN(UsableFiles usable, InspectFiles(files, now));
  return usable.identity;
}

absl::StatusOr<UsableFiles> CheckNodeFiles(const TlsFiles& files, Role role, std::string_view id,
                                           absl::Time now) {
  // Whose it is comes first: of a certificate that is another's as well as expired, that is the greater
  // mistake.
  SELVAGE_ASSIGN_OR_RETURN(const Identity identity, CertificateIdentity(files.cert));
  if (identity.role != role || identity.id != id) {
    return Refused("certificate_identity",
                   fmt::format("{} is of {}, node.id is {}", files.cert, SpiffeUri(identity), id),
                   fmt::format("issue a certificate for this {0}: selvagectl pki issue --role {0} --id {1}",
                               RoleName(role), id));
  }
  return InspectFiles(files, now);
}

absl::StatusOr<Identity> CertificateIdentity(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> chain, ReadCertificates(path));
  return IdentityOf(path, *chain.front());
}

absl::StatusOr<absl::Time> CertificateNotAfter(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> certificates, ReadCertificates(path));
  return NotAfter(*certificates.front());
}

absl::Status CheckClientChain(const std::string& ca, const std::string& chain, absl::Time now) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> certificates, ParseCertificates(chain, "the peer"));
  return CheckChain({.ca = ca,
                     .leaf = "the peer's certificate",
                     .purpose = X509_PURPOSE_SSL_CLIENT,
                     .any_leaf_date = true,
                     .now = now},
                    certificates)
      .status();
}

}  // namespace selvage
