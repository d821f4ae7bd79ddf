#include "fabric/security/files.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr size_t kLargestFile = 1 << 20;

std::string ErrnoText(int error) {
  return std::generic_category().message(error);
}

/// Closes the descriptor at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

absl::Status Unreadable(const std::string& path, std::string_view why) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "certificate_unreadable",
                   fmt::format("cannot read {}: {}", path, why),
                   "check the path, and that the user this process runs as may read the file");
}

absl::Status WriteFailed(const std::string& path, int error) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "file_write_failed",
                   fmt::format("cannot write {}: {}", path, ErrnoText(error)),
                   "check that the folder exists, may be written and has space", Retry::kYes);
}

absl::Status WriteAndSync(const std::string& path, std::string_view content, mode_t mode) {
  Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!file.ok()) return WriteFailed(path, errno);
  while (!content.empty()) {
    ssize_t written = write(file.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return WriteFailed(path, errno);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return fsync(file.get()) == 0 ? absl::OkStatus() : WriteFailed(path, errno);
}

// rename() replaces, link() refuses: either is one step for whoever looks.
absl::Status PutInPlace(const std::string& temporary, const std::string& path, Existing existing) {
  bool replace = existing == Existing::kReplace;
  int result = replace ? rename(temporary.c_str(), path.c_str()) : link(temporary.c_str(), path.c_str());
  if (result == 0) return absl::OkStatus();
  if (errno != EEXIST) return WriteFailed(path, errno);
  return MakeError(absl::StatusCode::kAlreadyExists, "file_exists", fmt::format("{} exists already", path),
                   "it is never replaced; choose another folder, or move the file away");
}

absl::Status SyncFolder(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  Descriptor directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.ok() || fsync(directory.get()) != 0) return WriteFailed(folder, errno);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadCredentialFile(const std::string& path) {
  // Non-blocking, so that a path to a pipe fails instead of waiting for a writer.
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.ok() && (errno == ENOENT || errno == ENOTDIR)) {
    return MakeError(absl::StatusCode::kNotFound, "certificate_missing",
                     fmt::format("there is no file {}", path),
                     "check the path; 'selvagectl pki issue' makes certificates for trying");
  }
  if (!file.ok()) return Unreadable(path, ErrnoText(errno));
  struct stat about;
  if (fstat(file.get(), &about) != 0) return Unreadable(path, ErrnoText(errno));
  if (!S_ISREG(about.st_mode)) return Unreadable(path, "it is not a regular file");

  std::string content;
  char buffer[16 * 1024];
  while (true) {
    ssize_t got = read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Unreadable(path, ErrnoText(errno));
    if (got == 0) return content;
    content.append(buffer, static_cast<size_t>(got));
    if (content.size() > kLargestFile) return Unreadable(path, "it is longer than 1 MiB");
  }
}

absl::Status WriteCredentialFile(const std::string& path, std::string_view content, mode_t mode,
                                 Existing existing) {
  std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  unlink(temporary.c_str());  // left by an earlier process of the same number that was killed here
  absl::Status status = WriteAndSync(temporary, content, mode);
  if (status.ok()) status = PutInPlace(temporary, path, existing);
  unlink(temporary.c_str());
  return status.ok() ? SyncFolder(path) : status;
}

}  // namespace selvage
