#pragma once

namespace selvage::internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* what);
}

/// A broken invariant of our own: stays on in release and ends the process. Never reached by peer or user
/// input.
#define SELVAGE_CHECK(condition)                                        \
  do {                                                                  \
    if (!(condition)) [[unlikely]]                                      \
      ::selvage::internal::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)
