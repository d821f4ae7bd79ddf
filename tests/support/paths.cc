#include "tests/support/paths.h"

namespace selvage::test {

std::string SourceDir() {
  return SELVAGE_SOURCE_DIR;
}
std::string BuildDir() {
  return SELVAGE_BUILD_DIR;
}

}  // namespace selvage::test
