#pragma once

#include <string>

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

/// When the first certificate of the file ends; for the expiry metric. Errors: certificate_missing,
/// certificate_unreadable, certificate_invalid.
absl::StatusOr<absl::Time> CertificateNotAfter(const std::string& path);

}  // namespace selvage
