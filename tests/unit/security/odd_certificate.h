#pragma once

#include <string>

#include "absl/time/time.h"
#include "fabric/security/tls_files.h"

namespace selvage {

/// Writes to `path` a certificate that our own authority would not issue, for the key of `files` and signed
/// by the authority in `authority_dir`; returns `files` with that certificate. Names and extended key usage
/// are given in OpenSSL's notation ("URI:spiffe://td/edge/a,DNS:localhost"); no names: no such extension.
TlsFiles OddCertificate(const std::string& authority_dir, const TlsFiles& files, const std::string& path,
                        const std::string& names, absl::Time now,
                        const std::string& usage = "clientAuth,serverAuth");

}  // namespace selvage
