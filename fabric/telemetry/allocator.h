#pragma once

#include <string>

namespace selvage {

/// Whose malloc this process runs: "jemalloc 5.3.0", or "system" where no other was found in its place.
std::string AllocatorInForce();

}  // namespace selvage
