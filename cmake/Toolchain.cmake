# Compiler, linker and cache. Everything here is optional speed except the warnings, which are errors for our own code.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # All clones of the project share what was compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

add_library(selvage_warnings INTERFACE)
target_compile_options(selvage_warnings INTERFACE -Wall -Wextra -Werror -Wnon-virtual-dtor)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 at -O2 sees uninitialised reads in std::optional and overlapping copies in std::string where there are none.
  target_compile_options(selvage_warnings INTERFACE -Wshadow=local -Wno-maybe-uninitialized -Wno-restrict)
  if(SELVAGE_UNITY_BATCH GREATER 1)
    # Names without linkage in a source file look to g++ like those of a header when another file includes the source.
    target_compile_options(selvage_warnings INTERFACE -Wno-subobject-linkage)
  endif()
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(selvage_warnings INTERFACE -Wthread-safety)
  # Abseil's annotations are macros that can stand for nothing, and then no mistake would be seen.
  try_compile(SELVAGE_UNGUARDED_COMPILES SOURCE_FROM_CONTENT unguarded.cc [[
    #include "absl/synchronization/mutex.h"
    struct Counter {
      int Next() { return ++count; }
      absl::Mutex mutex;
      int count ABSL_GUARDED_BY(mutex) = 0;
    };
    int main() { return Counter().Next(); }
    ]] COMPILE_DEFINITIONS -Werror -Wthread-safety CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON OUTPUT_VARIABLE said)
  if(SELVAGE_UNGUARDED_COMPILES OR NOT said MATCHES "-Werror,-Wthread-safety-analysis")
    message(FATAL_ERROR "clang does not check which lock guards what:\n${said}")
  endif()
endif()

# Comma-separated list for -fsanitize, set by the presets.
set(SELVAGE_SANITIZE "" CACHE STRING "Sanitizers to build with, for example address,undefined")
if(SELVAGE_SANITIZE)
  add_compile_options(-fsanitize=${SELVAGE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SELVAGE_SANITIZE})
  if(SELVAGE_SANITIZE MATCHES "thread")
    add_compile_options(-Wno-tsan)  # Asio uses fences, which g++ 12 cannot instrument
  endif()
endif()

if(SELVAGE_CANARIES)
  add_compile_definitions(SELVAGE_CANARIES)
endif()
# Fuzzers are guided by what they reach in our own code.
add_library(selvage_coverage INTERFACE)
if(SELVAGE_BUILD_FUZZERS)
  target_compile_options(selvage_coverage INTERFACE -fsanitize=fuzzer-no-link)
endif()

# selvage_coroutines(<target>): for targets whose coroutines are resumed by other threads. clang 16 keeps what it inlines of
# await_suspend in the coroutine's frame, which may be gone by then (llvm-project issue 56301, mended in clang 18), so it must not
# inline. What ships is built by g++.
function(selvage_coroutines target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()
