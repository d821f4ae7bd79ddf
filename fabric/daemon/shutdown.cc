#include "fabric/daemon/shutdown.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

namespace selvage {
namespace {

sigset_t Signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

Shutdown::Shutdown() {
  sigset_t set = Signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void Shutdown::Fail(const absl::Status& why) {
  {
    absl::MutexLock lock(&mutex_);
    if (failure_) return;
    failure_ = why;
  }
  kill(getpid(), SIGTERM);  // ends the wait below
}

absl::Status Shutdown::Wait() {
  sigset_t set = Signals();
  int signal = 0;
  while (sigwait(&set, &signal) != 0) {
  }
  absl::MutexLock lock(&mutex_);
  return failure_.value_or(absl::OkStatus());
}

}  // namespace selvage
