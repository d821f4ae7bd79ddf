#include "fabric/telemetry/standard_descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/base/config.h"

namespace selvage {

void SecureStandardDescriptors() {
  for (int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is taken, and those below are open. Opened the wrong way round: every use fails.
    if (open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) != descriptor) std::abort();
  }
}

}  // namespace selvage

// Constructors of libraries open descriptors as well, before main: with a closed standard input one of them
// becomes descriptor 0. The loader calls what is listed here before them. Sanitizers cannot be entered so
// early.
#if !defined(ABSL_HAVE_ADDRESS_SANITIZER) && !defined(ABSL_HAVE_THREAD_SANITIZER)
[[gnu::used,
  gnu::section(".preinit_array")]] static void (*secure_at_load)() = selvage::SecureStandardDescriptors;
#endif
