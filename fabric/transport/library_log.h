#pragma once

#include <string>

#include "absl/status/status.h"

namespace selvage {

/// Has gRPC and protobuf write into this process's log, in its format, with a bound on the lines, instead of
/// into standard error by themselves. Before either library is used.
void RouteLibraryLogs();

/// For ServerCredentials: one line about a peer that was not let in, with a bound on the lines.
void LogRefusedPeer(const std::string& claimed, const absl::Status& why);

}  // namespace selvage
