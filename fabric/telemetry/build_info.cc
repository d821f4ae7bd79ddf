#include "fabric/telemetry/build_info.h"

#include <fmt/format.h>

namespace selvage {

std::string_view Version() {
  return SELVAGE_VERSION;
}

std::string VersionLine(std::string_view program) {
  return fmt::format("{} {}", program, Version());
}

}  // namespace selvage
