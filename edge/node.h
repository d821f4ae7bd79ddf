#pragma once

#include "absl/status/status.h"
#include "edge/config.h"

namespace selvage {

/// Runs an edge until a signal or a failure ends it: wires the store, the uplink, the admin service and the
/// HTTP endpoint together and takes them down in order, within ten seconds. One for each process.
absl::Status RunEdge(const EdgeConfig& config);

}  // namespace selvage
