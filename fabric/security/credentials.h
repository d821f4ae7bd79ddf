#pragma once

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/security/identity.h"
#include "fabric/security/tls_files.h"

namespace selvage {

/// Mutual TLS for gRPC: both ends show a certificate, and identities are SPIFFE URIs, never host names.
/// TLS 1.3 between any two of our own ends; TLS 1.2 with ECDHE and AES-GCM is the floor for others.
///
/// One thread for each credentials object looks at the files every `reload` (rounded up to whole seconds),
/// and new connections use what it finds; connections that stand are left alone. A key that does not belong
/// to its certificate, as for the moment in which only one of them was replaced, fails new handshakes until a
/// look finds both. Files that are missing make handshakes wait or fail without a clear reason: call
/// CheckTlsFiles first.
///
/// Credentials may be made in any thread and shared by several channels or servers.
inline constexpr absl::Duration kTlsReload = absl::Seconds(10);

/// Hears of a peer that is not let in: whose certificate it shows, unverified ("" when it names nobody), and
/// why. Called in gRPC's threads, several at a time.
using PeerRefused = std::function<void(const std::string& claimed, const absl::Status& why)>;

/// Credentials of a server that takes only clients with a certificate from the authorities in `files.ca`. The
/// dates of a client's own certificate are not looked at in the handshake, which could only break off: who
/// the client is, and whether its certificate is valid today, must be asked in each call with PeerIdentity,
/// and what it may do with an Authorizer. Both give the client an error it can read, and name the client and
/// its address to this end.
std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const TlsFiles& files,
                                                           absl::Duration reload = kTlsReload,
                                                           PeerRefused refused = {});

/// The server that a client will talk to.
struct ExpectedPeer {
  std::string trust_domain;
  std::optional<Role> role = Role::kCore;  ///< nothing: a core or an edge, which operators talk to alike
  std::string id;                          ///< empty: any id
};

/// Credentials of a client that refuses any server whose certificate is not `server`'s; the call's error then
/// says what was expected and what was there.
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const TlsFiles& files,
                                                             const ExpectedPeer& server,
                                                             absl::Duration reload = kTlsReload);

/// A peer as its certificate says, which an authority that is trusted here has signed.
struct PeerCertificate {
  Identity identity;
  absl::Time from;   ///< valid from here
  absl::Time until;  ///< to here
};

/// What the peer shows, whatever its dates. "unauthenticated" when there is no certificate, or not exactly
/// one URI in it, or one that ParseSpiffeUri refuses.
absl::StatusOr<PeerCertificate> ShownCertificate(const grpc::AuthContext& context);

/// OK when the certificate is valid at `now`; else "certificate_expired" or "certificate_not_yet_valid".
absl::Status CheckDates(const PeerCertificate& peer, absl::Time now);

/// The identity of a peer that ShownCertificate and CheckDates accept, with their errors. Call it again now
/// and then for a connection that stays open.
absl::StatusOr<Identity> PeerIdentity(const grpc::AuthContext& context,
                                      absl::Time now = SystemClock().Wall());

}  // namespace selvage
