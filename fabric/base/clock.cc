#include "fabric/base/clock.h"

#include <sys/random.h>
#include <time.h>

#include "absl/time/clock.h"
#include "fabric/base/random.h"

namespace selvage {
namespace {

class RealClock : public Clock {
 public:
  absl::Duration Monotonic() override {
    timespec ts{};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return absl::DurationFromTimespec(ts);
  }
  absl::Time Wall() override { return absl::Now(); }
};

class RealRandom : public Random {
 public:
  void Fill(void* out, size_t size) override {
    auto* at = static_cast<unsigned char*>(out);
    while (size > 0) {
      ssize_t n = getrandom(at, size, 0);
      if (n < 0) continue;  // EINTR is the only failure once the pool is ready
      at += n;
      size -= static_cast<size_t>(n);
    }
  }
};

}  // namespace

Clock& SystemClock() {
  static RealClock clock;
  return clock;
}

Random& SystemRandom() {
  static RealRandom random;
  return random;
}

}  // namespace selvage
