#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace selvage::test {

/// What to start; `args[0]` is the program, searched in PATH unless it has a slash.
struct SpawnOptions {
  std::vector<std::string> args = {};
  /// Set beside the environment of this process, and instead of what it has under the same name.
  std::map<std::string, std::string> environment = {};
  /// Empty: that of this process.
  std::string working_directory = {};
};

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return descriptor_; }
  bool valid() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

/// Starts a process with these three descriptors as its standard ones and no other. It is killed when this
/// process ends, however it ends. The caller reaps it.
absl::StatusOr<pid_t> Spawn(const SpawnOptions& options, int in, int out, int err);

}  // namespace selvage::test
