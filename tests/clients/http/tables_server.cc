/// Tables over HTTP on a store in memory, for clients of other languages: says its address on the first line
/// and serves until it is told to end.
#include <csignal>
#include <cstdio>

#include "tests/support/served_tables.h"

int main() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);  // before there are threads
  selvage::test::ServedTables served;
  std::printf("http://127.0.0.1:%u\n", served.port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  return 0;
}
