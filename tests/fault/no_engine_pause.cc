#include <unistd.h>

#include <algorithm>
#include <ctime>

/// After each background error the engine pauses for a second, to spare the disk. A pretended disk needs no
/// such mercy, and thousands of them would: this takes the C library's place.
extern "C" int usleep(useconds_t microseconds) {
  const timespec pause{0, std::min<long>(microseconds, 100) * 1000};
  return ::nanosleep(&pause, nullptr);
}
