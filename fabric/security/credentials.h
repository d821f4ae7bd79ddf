#pragma once

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/security/identity.h"
#include "fabric/security/tls_files.h"

namespace selvage {

/// Mutual TLS for gRPC: both ends show a certificate, and identities are SPIFFE URIs, never host names.
/// TLS 1.3 between any two of our own ends; TLS 1.2 with an AEAD cipher is the floor for others.
///
/// The files are looked at again every `reload` (rounded up to whole seconds) and serve new connections;
/// connections that stand are left alone. For the moment in which a new certificate stands beside an old key,
/// new handshakes fail and the next look heals it. Files that are missing at the start make handshakes wait
/// for them: call CheckTlsFiles first for a clear error.
///
/// Both functions hold in any thread, and the credentials may be used by several channels or servers.
inline constexpr absl::Duration kTlsReload = absl::Seconds(10);

/// Credentials of a server that takes only clients with a certificate from the authorities in `files.ca`. Who
/// the client is must still be asked in each call with PeerIdentity, and what it may do with an Authorizer:
/// both give the client an error it can read, which a refused handshake does not.
std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const TlsFiles& files,
                                                           absl::Duration reload = kTlsReload);

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

/// The identity in the peer's verified certificate. "unauthenticated" when there is no certificate, or not
/// exactly one URI in it, or one that ParseSpiffeUri refuses.
absl::StatusOr<Identity> PeerIdentity(const grpc::AuthContext& context);

}  // namespace selvage
