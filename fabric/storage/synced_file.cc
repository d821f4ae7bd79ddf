#include "fabric/storage/synced_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "fabric/base/error.h"

namespace selvage {
namespace {

/// A file descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  const int fd_;
};

absl::Status OsError(std::string_view what, const std::filesystem::path& path) {
  const int error = errno;
  const std::string message =
      fmt::format("cannot {} {}: {}", what, path.string(), std::generic_category().message(error));
  if (error == ENOSPC || error == EDQUOT) {
    return MakeError(absl::StatusCode::kResourceExhausted, "disk_full", message, "free space on the volume");
  }
  return MakeError(absl::StatusCode::kInternal, "io_error", message, "check the volume and the rights on it");
}

absl::Status WriteAll(int fd, std::string_view data, const std::filesystem::path& path) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return OsError("write", path);
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return OsError("open", path);
  if (::fsync(fd.get()) != 0) return OsError("sync", path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<std::string>> ReadSyncedFile(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) {
    if (errno == ENOENT) return std::nullopt;
    return OsError("open", path);
  }
  std::string content;
  char buffer[16 << 10];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return OsError("read", path);
    if (got == 0) break;
    content.append(buffer, static_cast<size_t>(got));
  }
  return content;
}

absl::Status ReplaceSyncedFile(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::path fresh = path;
  fresh += ".tmp";
  {
    const Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
    if (fd.get() < 0) return OsError("create", fresh);
    SELVAGE_RETURN_IF_ERROR(WriteAll(fd.get(), content, fresh));
    if (::fsync(fd.get()) != 0) return OsError("sync", fresh);
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return OsError("rename", fresh);
  const std::filesystem::path directory = path.parent_path();
  return SyncDirectory(directory.empty() ? std::filesystem::path(".") : directory);
}

}  // namespace selvage
