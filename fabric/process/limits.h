#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"

/// What the system allows this process.
namespace selvage {

/// The limits that are set on memory and threads, in words: "ulimit -v (address space) 300000 KiB, pids.max
/// of the cgroup 16"; "none that this process can see" without any.
std::string LimitsInForce();

/// Whether so many more threads can run at the same time. The libraries under a daemon end the process where
/// they get no thread, without a word of why. Error: "too_few_threads" (kResourceExhausted) with the limits
/// in force.
absl::Status CheckThreads(size_t threads);

}  // namespace selvage
