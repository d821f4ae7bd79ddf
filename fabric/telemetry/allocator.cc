#include "fabric/telemetry/allocator.h"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

/// jemalloc's own interface; absent in a process without it.
extern "C" int mallctl(const char* name, void* old, size_t* old_size, void* fresh, size_t fresh_size)
    __attribute__((weak));

namespace selvage {
namespace {

constexpr size_t kSample = 4096;

/// Bytes that jemalloc gave to this thread so far.
uint64_t GivenByJemalloc() {
  uint64_t bytes = 0;
  size_t size = sizeof bytes;
  return mallctl("thread.allocated", &bytes, &size, nullptr, 0) == 0 ? bytes : 0;
}

}  // namespace

std::string AllocatorInForce() {
  if (mallctl == nullptr) return "system";
  const uint64_t before = GivenByJemalloc();
  void* volatile sample = std::malloc(kSample);
  const uint64_t after = GivenByJemalloc();
  std::free(sample);
  if (after < before + kSample) return "system";  // it is there, but malloc is another's
  const char* version = "";
  size_t size = sizeof version;  // NOLINT(bugprone-sizeof-expression): a pointer is what is asked for
  if (mallctl("version", &version, &size, nullptr, 0) != 0) return "jemalloc";
  const std::string_view text(version);
  return "jemalloc " + std::string(text.substr(0, text.find('-')));
}

}  // namespace selvage
