#include "fabric/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace selvage::internal {

void CheckFailed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, what);
  std::fflush(stderr);
  std::abort();
}

}  // namespace selvage::internal
