#include "ctl/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "fabric/base/error.h"

namespace selvage::ctl {

absl::StatusOr<InputFile> InputFile::Open(const std::string& path, int standard_input) {
  if (path.empty() || path == "-") return InputFile(standard_input, false);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) return InputFile(fd, true);
  return MakeError(absl::StatusCode::kNotFound, "input_unreadable",
                   fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
}

InputFile::~InputFile() {
  if (owned_) close(fd_);
}

}  // namespace selvage::ctl
