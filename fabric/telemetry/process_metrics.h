#pragma once

#include <vector>

#include "fabric/telemetry/metrics.h"

namespace selvage::internal {

/// Memory, processor time, file descriptors and start time of this process, under the names that Prometheus
/// client libraries agree on. A value the system does not give is left out.
std::vector<CollectedMetric> CollectProcess();

}  // namespace selvage::internal
