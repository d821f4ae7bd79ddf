#include "ctl/line_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ctl/units.h"
#include "fabric/base/error.h"

namespace selvage::ctl {

std::optional<std::string_view> LineInput::Next() {
  size_t end = buffer_.find('\n', searched_);
  size_t after = end + 1;
  if (end == std::string::npos) {
    searched_ = buffer_.size();
    if (!at_end_ || begin_ == buffer_.size()) return std::nullopt;
    end = after = buffer_.size();
  }
  std::string_view line(buffer_.data() + begin_, end - begin_);
  begin_ = searched_ = after;
  return line;
}

absl::Status LineInput::ReadSome() {
  constexpr size_t kRead = 256 << 10;
  buffer_.erase(0, begin_);
  searched_ -= begin_;
  begin_ = 0;
  if (buffer_.size() > max_line_ && searched_ == buffer_.size()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "line_too_long",
                     fmt::format("a line is longer than {}", HumanBytes(static_cast<double>(max_line_))),
                     "every line becomes one record");
  }
  size_t held = buffer_.size();
  buffer_.resize(held + kRead);
  ssize_t got = read(fd_, buffer_.data() + held, kRead);
  int error = errno;
  buffer_.resize(held + static_cast<size_t>(got > 0 ? got : 0));
  if (got == 0) at_end_ = true;
  if (got >= 0 || error == EINTR || error == EAGAIN) return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnavailable, "input_unreadable",
                   fmt::format("the input cannot be read: {}", std::strerror(error)), {}, Retry::kNo);
}

}  // namespace selvage::ctl
