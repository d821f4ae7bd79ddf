#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/security/identity.h"

namespace selvage {

/// Paths of PEM files. `cert` and `key` may name one file that holds both, which one rename then replaces
/// together.
struct TlsFiles {
  std::string cert;  ///< own certificate, followed by intermediates if there are any
  std::string key;   ///< its private key, without a passphrase
  std::string ca;    ///< the authorities trusted to vouch for peers, one or more
};

/// Whether these files would carry a connection at the time `now`, and the identity they give. Worth calling
/// at start and in --check-config on both ends: a handshake that fails says nearly nothing.
///
/// Error kinds, each naming the file:
///   certificate_missing, certificate_unreadable   a file is not there, or may not be read
///   certificate_invalid         does not parse, or is not allowed for the purpose of its role
///   certificate_mismatch        the key is not the certificate's key
///   certificate_not_yet_valid, certificate_expired   the certificate, or an authority above it
///   certificate_foreign         no authority in `ca` vouches for it
///   certificate_identity        does not hold exactly one SPIFFE URI as ParseSpiffeUri reads it
absl::StatusOr<Identity> CheckTlsFiles(const TlsFiles& files, absl::Time now);

/// Files that would carry a connection.
struct UsableFiles {
  Identity identity;
  absl::Time from;         ///< the certificate is valid from here
  absl::Time until;        ///< to here
  absl::Time chain_until;  ///< the first end of it and of the authorities above it
};

/// CheckTlsFiles of the files of one node: the certificate must be of this `role` and `id`, else the error is
/// certificate_identity.
absl::StatusOr<UsableFiles> CheckNodeFiles(const TlsFiles& files, Role role, std::string_view id,
                                           absl::Time now);

/// Whose the first certificate of the file is, whatever its dates and whoever vouches for it. Errors:
/// certificate_missing, certificate_unreadable, certificate_invalid, certificate_identity.
absl::StatusOr<Identity> CertificateIdentity(const std::string& path);

/// When the first certificate of the file ends; for the expiry metric. Errors: certificate_missing,
/// certificate_unreadable, certificate_invalid.
absl::StatusOr<absl::Time> CertificateNotAfter(const std::string& path);

/// Whether the authorities in the file `ca` vouch at the time `now` for a peer that dialled and showed the
/// certificates in the PEM text `chain`, its own first. The dates of its own certificate are not looked at.
/// Errors: certificate_foreign, certificate_invalid, certificate_expired and certificate_not_yet_valid of an
/// authority, and those of reading `ca`.
absl::Status CheckClientChain(const std::string& ca, const std::string& chain, absl::Time now);

/// OK when `now` lies between the two times, else certificate_not_yet_valid or certificate_expired about
/// `what`.
absl::Status CheckPeriod(std::string_view what, absl::Time from, absl::Time until, absl::Time now);

}  // namespace selvage
