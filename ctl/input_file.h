#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace selvage::ctl {

/// What a command reads: the standard input, or a file that is closed again.
class InputFile {
 public:
  /// `path` empty or "-": the standard input, which stays open. Error: "input_unreadable".
  static absl::StatusOr<InputFile> Open(const std::string& path, int standard_input);
  InputFile(InputFile&& other) noexcept : fd_(other.fd_), owned_(std::exchange(other.owned_, false)) {}
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile();
  int fd() const { return fd_; }

 private:
  InputFile(int fd, bool owned) : fd_(fd), owned_(owned) {}

  int fd_;
  bool owned_;
};

}  // namespace selvage::ctl
