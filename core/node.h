#pragma once

#include "absl/status/status.h"
#include "core/config.h"

namespace selvage {

/// Runs the core until a signal or a failure ends it: wires the store, the fleet, the link server, the admin
/// service and the HTTP endpoint together and takes them down in order, within ten seconds. One for each
/// process. `restored`: the data directory was put back from a backup; edges are told by a new lineage.
absl::Status RunCore(const CoreConfig& config, bool restored);

}  // namespace selvage
