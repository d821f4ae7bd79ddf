#pragma once

#include <vector>

#include "fabric/config/daemon_config.h"
#include "selvage/v1/stream.pb.h"

namespace selvage {

/// The streams of a configuration file as definitions.
std::vector<v1::StreamDefinition> DefinitionsOf(const std::vector<StreamConfig>& streams);

}  // namespace selvage
