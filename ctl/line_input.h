#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace selvage::ctl {

/// Lines from a file descriptor, without ever waiting where poll() said there is something. A line ends with
/// '\n', which is not part of it; the last one may lack it. Not thread-safe.
class LineInput {
 public:
  /// `fd` stays the caller's. A line longer than `max_line` is an error.
  LineInput(int fd, size_t max_line) : fd_(fd), max_line_(max_line) {}

  /// The next line that was read whole; valid until the next ReadSome. Nothing: read more, unless at_end().
  std::optional<std::string_view> Next();
  /// One read(). Error: "input_unreadable", "line_too_long".
  absl::Status ReadSome();
  /// Everything was read; Next still gives what is left.
  bool at_end() const { return at_end_; }
  int fd() const { return fd_; }

 private:
  const int fd_;
  const size_t max_line_;
  std::string buffer_;
  size_t begin_ = 0;     // of the next line
  size_t searched_ = 0;  // no line end between begin_ and here
  bool at_end_ = false;
};

}  // namespace selvage::ctl
