#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/security/tls_files.h"

namespace selvage {

/// What was tried when a dial failed.
struct DialAttempt {
  std::string address;
  std::string http_proxy;  ///< empty: none
  TlsFiles tls;
  absl::Duration gave_up_after = absl::ZeroDuration();  ///< more than 0: there was no answer for so long
};

/// Puts what gRPC says of a failed connection into words that help. Kinds: "connect_timeout",
/// "proxy_refused", "proxy_unreachable", "connection_refused", "name_unresolved", "unreachable",
/// "tls_failed", those of CheckTlsFiles when this end's own files at the time `now` are the cause, and
/// "link_refused" for what the core itself answered. All say that a retry helps, since files, core and
/// network may be mended meanwhile. Reads the TLS files.
absl::Status ExplainDialError(const absl::Status& status, const DialAttempt& attempt, absl::Time now);

}  // namespace selvage
