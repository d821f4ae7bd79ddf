#include "fabric/security/pki.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <system_error>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/base/random.h"
#include "fabric/security/files.h"
#include "fabric/security/x509.h"

namespace selvage {
namespace {

using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslFree<X509_EXTENSION_free>>;
using NamePtr = std::unique_ptr<GENERAL_NAME, OpensslFree<GENERAL_NAME_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;
using OctetsPtr = std::unique_ptr<ASN1_OCTET_STRING, OpensslFree<ASN1_OCTET_STRING_free>>;

constexpr std::string_view kScheme = "spiffe://";
// An edge's clock may be behind: a certificate should serve at once there too.
constexpr absl::Duration kBackdate = absl::Minutes(10);
constexpr mode_t kSecret = 0600;
constexpr mode_t kPublic = 0644;

struct Authority {
  X509Ptr certificate;
  KeyPtr key;
  std::string trust_domain;
};

std::string CaCertPath(const std::string& dir) {
  return (std::filesystem::path(dir) / "ca.crt").string();
}
std::string CaKeyPath(const std::string& dir) {
  return (std::filesystem::path(dir) / "ca.key").string();
}

absl::Status InvalidName(const std::string& message, std::string_view hint) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_name", message, hint);
}

absl::Status MakeFolder(const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (!error) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "file_write_failed",
                   fmt::format("cannot make the folder {}: {}", dir, error.message()),
                   "check the path and its rights");
}

absl::Status CheckNames(const IssueRequest& request) {
  if (!IsDnsLabel(request.id)) {
    return InvalidName(fmt::format("'{}' is not an id", request.id),
                       "1 to 63 of a-z, 0-9 and '-', no '-' at either end");
  }
  for (const std::string& name : request.dns_names) {
    if (!IsDnsName(name)) return InvalidName(fmt::format("'{}' is not a DNS name in lower case", name), "");
  }
  for (const std::string& address : request.ip_addresses) {
    OctetsPtr octets(a2i_IPADDRESS(address.c_str()));
    ERR_clear_error();
    if (octets == nullptr)
      return InvalidName(fmt::format("'{}' is not an IPv4 or IPv6 address", address), "");
  }
  return absl::OkStatus();
}

void SetText(ASN1_STRING* string, std::string_view text) {
  SELVAGE_CHECK(ASN1_STRING_set(string, text.data(), static_cast<int>(text.size())) == 1);
}

void AddName(GENERAL_NAMES* names, int type, ASN1_STRING* value) {
  NamePtr name(GENERAL_NAME_new());
  GENERAL_NAME_set0_value(name.get(), type, value);
  SELVAGE_CHECK(sk_GENERAL_NAME_push(names, name.get()) > 0);
  (void)name.release();
}

void AddTextName(GENERAL_NAMES* names, int type, std::string_view text) {
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  SetText(value, text);
  AddName(names, type, value);
}

/// Subject alternative names: the one URI, then hosts. The names were checked.
NamesPtr AlternativeNames(std::string_view uri, const std::vector<std::string>& dns_names,
                          const std::vector<std::string>& ip_addresses) {
  NamesPtr names(GENERAL_NAMES_new());
  AddTextName(names.get(), GEN_URI, uri);
  for (const std::string& name : dns_names) AddTextName(names.get(), GEN_DNS, name);
  for (const std::string& address : ip_addresses) {
    AddName(names.get(), GEN_IPADD, a2i_IPADDRESS(address.c_str()));
  }
  return names;
}

/// What a certificate shares with every other of ours. The steps fail only when memory does.
X509Ptr NewCertificate(EVP_PKEY* key, const std::string& common_name, absl::Time now, absl::Time until) {
  X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  std::array<unsigned char, 16> serial;
  SystemRandom().Fill(serial.data(), serial.size());
  BignumPtr number(BN_bin2bn(serial.data(), serial.size(), nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(now - kBackdate));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(until));
  // A common name has at most 64 characters. Only people read it: the identity is the URI.
  std::string name = common_name.substr(0, 64);
  X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.data()),
                             static_cast<int>(name.size()), -1, 0);
  SELVAGE_CHECK(X509_set_pubkey(certificate.get(), key) == 1);
  return certificate;
}

void AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  SELVAGE_CHECK(extension != nullptr);
  SELVAGE_CHECK(X509_add_ext(certificate, extension.get(), -1) == 1);
}

void AddAlternativeNames(X509* certificate, GENERAL_NAMES* names) {
  SELVAGE_CHECK(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
}

void Sign(X509* certificate, EVP_PKEY* key) {
  SELVAGE_CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string Pem(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  SELVAGE_CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1);
  return TextOf(bio.get());
}

std::string Pem(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_secmem()));
  SELVAGE_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return TextOf(bio.get());
}

KeyPtr NewKey() {
  KeyPtr key(EVP_EC_gen("P-256"));
  SELVAGE_CHECK(key != nullptr);
  return key;
}

absl::StatusOr<std::string> TrustDomainOf(const std::string& path, const X509& certificate) {
  std::vector<std::string> uris = UriNames(certificate);
  if (uris.size() == 1 && std::string_view(uris.front()).starts_with(kScheme) &&
      IsDnsName(std::string_view(uris.front()).substr(kScheme.size()))) {
    return uris.front().substr(kScheme.size());
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, "certificate_identity",
                   fmt::format("{} does not name one trust domain", path),
                   "use a folder that 'selvagectl pki init' made");
}

absl::StatusOr<Authority> ReadAuthority(const std::string& dir) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> certificates, ReadCertificates(CaCertPath(dir)));
  SELVAGE_ASSIGN_OR_RETURN(KeyPtr key, ReadKey(CaKeyPath(dir)));
  Authority authority{std::move(certificates.front()), std::move(key), {}};
  SELVAGE_ASSIGN_OR_RETURN(authority.trust_domain, TrustDomainOf(CaCertPath(dir), *authority.certificate));
  if (X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1) {
    ERR_clear_error();
    return MakeError(absl::StatusCode::kFailedPrecondition, "certificate_mismatch",
                     fmt::format("{} is not the key of {}", CaKeyPath(dir), CaCertPath(dir)),
                     "restore the two files that were made together");
  }
  return authority;
}

absl::Status CheckValidity(const Authority& authority, absl::Duration validity, absl::Time now) {
  absl::Time until = NotAfter(*authority.certificate);
  if (validity > absl::ZeroDuration() && now + validity <= until) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "validity_too_long",
                   fmt::format("a validity of {} is not within that of the authority, which ends at {}",
                               absl::FormatDuration(validity),
                               absl::FormatTime(absl::RFC3339_sec, until, absl::UTCTimeZone())),
                   "choose a shorter validity above zero, or make a new authority");
}

X509Ptr NewLeaf(const Authority& authority, EVP_PKEY* key, const IssueRequest& request, absl::Time now) {
  std::vector<std::string> dns_names = request.dns_names;
  std::vector<std::string> ip_addresses = request.ip_addresses;
  if (request.role != Role::kOperator) {
    dns_names.insert(dns_names.begin(), "localhost");
    ip_addresses.insert(ip_addresses.begin(), {"127.0.0.1", "::1"});
  }
  std::string uri = SpiffeUri({authority.trust_domain, request.role, request.id});
  X509* issuer = authority.certificate.get();
  X509Ptr leaf = NewCertificate(key, request.id, now, now + request.validity);
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer));
  AddExtension(leaf.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(leaf.get(), issuer, NID_key_usage, "critical,digitalSignature");
  AddExtension(leaf.get(), issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  AddExtension(leaf.get(), issuer, NID_subject_key_identifier, "hash");
  AddExtension(leaf.get(), issuer, NID_authority_key_identifier, "keyid:always");
  AddAlternativeNames(leaf.get(), AlternativeNames(uri, dns_names, ip_addresses).get());
  Sign(leaf.get(), authority.key.get());
  return leaf;
}

// A ca.crt that already holds this authority, perhaps with others beside it, is left as it is.
absl::Status CopyAuthority(const Authority& authority, const std::string& out_dir) {
  std::string path = CaCertPath(out_dir);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return WriteCredentialFile(path, Pem(authority.certificate.get()), kPublic, Existing::kRefuse);
  }
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> present, ReadCertificates(path));
  bool held = std::any_of(present.begin(), present.end(), [&](const X509Ptr& certificate) {
    return X509_cmp(certificate.get(), authority.certificate.get()) == 0;
  });
  if (held) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "authority_differs",
                   fmt::format("{} is of another authority", path),
                   "choose another output folder, or add this authority's ca.crt to that file first");
}

}  // namespace

absl::Status InitAuthority(const std::string& dir, const std::string& trust_domain, absl::Duration validity,
                           absl::Time now) {
  if (!IsDnsName(trust_domain)) {
    return InvalidName(fmt::format("'{}' is not a trust domain", trust_domain), "a DNS name in lower case");
  }
  SELVAGE_RETURN_IF_ERROR(MakeFolder(dir));
  KeyPtr key = NewKey();
  X509Ptr certificate = NewCertificate(key.get(), "Selvage CA " + trust_domain, now, now + validity);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  AddExtension(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  AddExtension(certificate.get(), certificate.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash");
  AddAlternativeNames(certificate.get(),
                      AlternativeNames(fmt::format("{}{}", kScheme, trust_domain), {}, {}).get());
  Sign(certificate.get(), key.get());

  std::error_code error;
  if (std::filesystem::exists(CaCertPath(dir), error)) {
    return MakeError(absl::StatusCode::kAlreadyExists, "file_exists",
                     fmt::format("{} exists already", CaCertPath(dir)),
                     "it is never replaced; choose another folder");
  }
  SELVAGE_RETURN_IF_ERROR(WriteCredentialFile(CaKeyPath(dir), Pem(key.get()), kSecret, Existing::kRefuse));
  return WriteCredentialFile(CaCertPath(dir), Pem(certificate.get()), kPublic, Existing::kRefuse);
}

absl::StatusOr<std::string> AuthorityTrustDomain(const std::string& dir) {
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> certificates, ReadCertificates(CaCertPath(dir)));
  return TrustDomainOf(CaCertPath(dir), *certificates.front());
}

absl::StatusOr<TlsFiles> Issue(const std::string& dir, const IssueRequest& request,
                               const std::string& out_dir, absl::Time now) {
  SELVAGE_RETURN_IF_ERROR(CheckNames(request));
  SELVAGE_ASSIGN_OR_RETURN(Authority authority, ReadAuthority(dir));
  SELVAGE_RETURN_IF_ERROR(CheckValidity(authority, request.validity, now));
  SELVAGE_RETURN_IF_ERROR(MakeFolder(out_dir));
  SELVAGE_RETURN_IF_ERROR(CopyAuthority(authority, out_dir));

  KeyPtr key = NewKey();
  X509Ptr leaf = NewLeaf(authority, key.get(), request, now);
  std::string stem =
      (std::filesystem::path(out_dir) / fmt::format("{}-{}", RoleName(request.role), request.id)).string();
  TlsFiles files{.cert = stem + ".crt", .key = stem + ".key", .ca = CaCertPath(out_dir)};
  SELVAGE_RETURN_IF_ERROR(WriteCredentialFile(files.key, Pem(key.get()), kSecret, Existing::kReplace));
  SELVAGE_RETURN_IF_ERROR(WriteCredentialFile(files.cert, Pem(leaf.get()), kPublic, Existing::kReplace));
  return files;
}

}  // namespace selvage
