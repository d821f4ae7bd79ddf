#pragma once

#include <string>
#include <string_view>

namespace selvage {

/// The version of this build, for example "0.1.0".
std::string_view Version();
/// What `--version` prints: "selvage-edge 0.1.0", without a line end.
std::string VersionLine(std::string_view program);

}  // namespace selvage
