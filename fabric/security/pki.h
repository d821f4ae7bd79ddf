#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/security/identity.h"
#include "fabric/security/tls_files.h"

namespace selvage {

/// A small certificate authority in a folder, for trying, for tests and for fleets without one of their own:
/// ECDSA P-256 throughout. `ca.crt` may be shown to anyone; whoever reads `ca.key` (mode 0600) can be any
/// edge. Not for use by two processes on the same folder at a time.

/// Makes the folder if need be, and in it ca.key and ca.crt for the trust domain, valid from shortly before
/// `now`. Errors: "invalid_name", "file_exists" when either file is there (never replaced),
/// "file_write_failed".
absl::Status InitAuthority(const std::string& dir, const std::string& trust_domain, absl::Duration validity,
                           absl::Time now);

/// The trust domain that the authority in `dir` was made for.
absl::StatusOr<std::string> AuthorityTrustDomain(const std::string& dir);

struct IssueRequest {
  Role role = Role::kEdge;
  std::string id;           ///< a DNS label
  absl::Duration validity;  ///< must outlast the longest time without a renewal, and end before the authority
  std::vector<std::string> dns_names;     ///< for clients that check host names (Kafka), beside localhost
  std::vector<std::string> ip_addresses;  ///< IPv4 or IPv6, beside 127.0.0.1 and ::1
};

/// Makes a new key and certificate in `out_dir` (made if need be): `<role>-<id>.key` (mode 0600),
/// `<role>-<id>.crt` and a copy of the authority's certificate, `ca.crt`; returns their paths. The key is
/// written before the certificate, and each replaces an earlier one of the same identity atomically, so a
/// renewal may be written under a running process. Certificates of an edge and the core also name localhost,
/// 127.0.0.1 and ::1; an operator's names no host but those asked for.
///
/// Errors: "invalid_name", "validity_too_long", "authority_differs" when out_dir holds the ca.crt of another
/// authority, those of CheckTlsFiles for the authority's own files, "file_write_failed".
absl::StatusOr<TlsFiles> Issue(const std::string& dir, const IssueRequest& request,
                               const std::string& out_dir, absl::Time now);

}  // namespace selvage
