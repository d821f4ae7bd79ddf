#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "ctl/session.h"
#include "fabric/telemetry/standard_descriptors.h"

namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "written by a signal handler");

// The first SIGINT asks; the second ends the process.
void StopAtInterrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // no SA_RESTART: waiting calls return
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);  // a closed pipe shows as a failed stream
}

}  // namespace

int main(int argc, char** argv) {
  selvage::SecureStandardDescriptors();
  std::ios::sync_with_stdio(false);
  setenv("GRPC_VERBOSITY", "NONE", 0);  // our errors say what happened; its log lines only repeat it
  StopAtInterrupt();
  selvage::ctl::World world;
  world.in = STDIN_FILENO;
  world.out = &std::cout;
  world.err = &std::cerr;
  world.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  world.err_is_terminal = isatty(STDERR_FILENO) == 1;
  world.interrupted = [] { return interrupted.load(); };
  world.pause = [](absl::Duration duration) {
    absl::Time until = absl::Now() + duration;
    while (!interrupted && absl::Now() < until) {
      absl::SleepFor(std::min(until - absl::Now(), absl::Milliseconds(100)));
    }
    return !interrupted;
  };
  return selvage::ctl::Run(std::vector<std::string>(argv + 1, argv + argc), std::move(world));
}
