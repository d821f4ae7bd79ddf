#include "fabric/security/credentials.h"

#include <fmt/format.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/security/x509.h"

namespace selvage {
namespace {

namespace tls = grpc::experimental;

std::string Text(const grpc::string_ref& text) {
  return std::string(text.data(), text.size());
}

absl::Status Unauthenticated(std::string_view message, std::string_view hint) {
  return MakeError(absl::StatusCode::kUnauthenticated, "unauthenticated", message, hint);
}

absl::Status CheckServer(const ExpectedPeer& expected, const std::vector<grpc::string_ref>& uris) {
  std::string wanted = fmt::format("spiffe://{}/{}/{}", expected.trust_domain,
                                   expected.role ? RoleName(*expected.role) : "<core or edge>",
                                   expected.id.empty() ? "<any>" : expected.id);
  if (uris.size() != 1) {
    return absl::UnauthenticatedError(
        fmt::format("expected the server to be {}, but its certificate holds {} URIs", wanted, uris.size()));
  }
  SELVAGE_ASSIGN_OR_RETURN(Identity server, ParseSpiffeUri(Text(uris.front())));
  bool serves = expected.role ? server.role == *expected.role : server.role != Role::kOperator;
  bool same = server.trust_domain == expected.trust_domain && serves &&
              (expected.id.empty() || server.id == expected.id);
  if (same) return absl::OkStatus();
  return absl::UnauthenticatedError(
      fmt::format("expected the server to be {}, but it is {}", wanted, SpiffeUri(server)));
}

/// Runs in gRPC's threads, several at a time; immutable.
class ServerIdentityVerifier final : public tls::ExternalCertificateVerifier {
 public:
  explicit ServerIdentityVerifier(ExpectedPeer expected) : expected_(std::move(expected)) {}

  bool Verify(tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    absl::Status status = CheckServer(expected_, request->uri_names());
    if (!status.ok())
      *sync_status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(status.message()));
    return true;
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest*) override {}

 private:
  const ExpectedPeer expected_;
};

/// Takes the place of OpenSSL's own look at the chain, which ends in a line that names nobody. Runs in gRPC's
/// threads, several at a time; immutable.
class ClientChainVerifier final : public tls::ExternalCertificateVerifier {
 public:
  ClientChainVerifier(std::string ca, PeerRefused refused)
      : ca_(std::move(ca)), refused_(std::move(refused)) {}

  bool Verify(tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    // At a server OpenSSL leaves the peer's own certificate out of the chain.
    const std::string chain = Text(request->peer_cert()) + Text(request->peer_cert_full_chain());
    absl::Status status = CheckClientChain(ca_, chain, SystemClock().Wall());
    if (status.ok()) return true;
    const std::vector<grpc::string_ref> uris = request->uri_names();
    auto claimed = uris.size() == 1 ? ParseSpiffeUri(Text(uris.front())) : absl::NotFoundError("");
    if (refused_) refused_(claimed.ok() ? SpiffeUri(*claimed) : "", status);
    *sync_status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(status.message()));
    return true;
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::string ca_;
  const PeerRefused refused_;
};

std::shared_ptr<tls::CertificateProviderInterface> Provider(const TlsFiles& files, absl::Duration reload) {
  int64_t seconds = std::max<int64_t>(1, absl::ToInt64Seconds(absl::Ceil(reload, absl::Seconds(1))));
  return std::make_shared<tls::FileWatcherCertificateProvider>(files.key, files.cert, files.ca,
                                                               static_cast<unsigned int>(seconds));
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const TlsFiles& files, absl::Duration reload,
                                                           PeerRefused refused) {
  tls::TlsServerCredentialsOptions options(Provider(files, reload));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  // A certificate must be shown, and the verifier says whether it is good.
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_certificate_verifier(
      tls::ExternalCertificateVerifier::Create<ClientChainVerifier>(files.ca, std::move(refused)));
  return tls::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const TlsFiles& files,
                                                             const ExpectedPeer& server,
                                                             absl::Duration reload) {
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(Provider(files, reload));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  options.set_check_call_host(false);  // the verifier below takes the place of the host name
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<ServerIdentityVerifier>(server));
  return tls::TlsCredentials(options);
}

absl::StatusOr<PeerCertificate> ShownCertificate(const grpc::AuthContext& context) {
  std::vector<grpc::string_ref> uris = context.FindPropertyValues(GRPC_PEER_SPIFFE_ID_PROPERTY_NAME);
  std::vector<grpc::string_ref> pems = context.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (!context.IsPeerAuthenticated() || uris.size() != 1 || pems.size() != 1) {
    return Unauthenticated("the peer shows no certificate with exactly one SPIFFE URI",
                           "issue a certificate whose only URI is spiffe://<trust domain>/<edge, core or "
                           "operator>/<id>");
  }
  SELVAGE_ASSIGN_OR_RETURN(Identity identity, ParseSpiffeUri(Text(uris.front())));
  SELVAGE_ASSIGN_OR_RETURN(std::vector<X509Ptr> chain,
                           ParseCertificates(Text(pems.front()), SpiffeUri(identity)));
  return PeerCertificate{std::move(identity), NotBefore(*chain.front()), NotAfter(*chain.front())};
}

absl::Status CheckDates(const PeerCertificate& peer, absl::Time now) {
  absl::Status valid =
      CheckPeriod(fmt::format("the certificate of {}", SpiffeUri(peer.identity)), peer.from, peer.until, now);
  if (valid.ok()) return valid;
  return MakeError(
      absl::StatusCode::kUnauthenticated, ErrorKind(valid), std::string(valid.message()),
      "renew it, or check the clocks of both ends; a running process takes a new certificate up by itself");
}

absl::StatusOr<Identity> PeerIdentity(const grpc::AuthContext& context, absl::Time now) {
  SELVAGE_ASSIGN_OR_RETURN(PeerCertificate peer, ShownCertificate(context));
  SELVAGE_RETURN_IF_ERROR(CheckDates(peer, now));
  return peer.identity;
}

}  // namespace selvage
