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
  return FileError(what, path, {errno, std::generic_category()});
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

absl::Status SyncAt(const std::filesystem::path& path, int flags) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (fd.get() < 0) return OsError("open", path);
  return ::fsync(fd.get()) == 0 ? absl::OkStatus() : OsError("sync", path);
}

absl::Status WriteAt(const std::filesystem::path& path, int flags, std::string_view content) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0640));
  if (fd.get() < 0) return OsError("create", path);
  return WriteAll(fd.get(), content, path);
}

}  // namespace

absl::Status FileError(std::string_view what, const std::filesystem::path& path, std::error_code error) {
  const std::string message = fmt::format("cannot {} {}: {}", what, path.string(), error.message());
  if (error == std::errc::no_space_on_device || error.value() == EDQUOT) {
    return MakeError(absl::StatusCode::kResourceExhausted, "disk_full", message, "free space on the volume");
  }
  return MakeError(absl::StatusCode::kInternal, "io_error", message, "check the volume and the rights on it");
}

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
  SELVAGE_RETURN_IF_ERROR(WriteFile(fresh, content));
  SELVAGE_RETURN_IF_ERROR(SyncFile(fresh));
  SELVAGE_RETURN_IF_ERROR(RenameFile(fresh, path));
  const std::filesystem::path folder = path.parent_path();
  return SyncFolder(folder.empty() ? std::filesystem::path(".") : folder);
}

absl::Status WriteFile(const std::filesystem::path& path, std::string_view content) {
  return WriteAt(path, O_TRUNC, content);
}

absl::Status AppendToFile(const std::filesystem::path& path, std::string_view content) {
  return WriteAt(path, O_APPEND, content);
}

absl::Status SyncFile(const std::filesystem::path& path) {
  return SyncAt(path, 0);
}

absl::Status SyncFolder(const std::filesystem::path& path) {
  return SyncAt(path, O_DIRECTORY);
}

absl::Status RenameFile(const std::filesystem::path& from, const std::filesystem::path& to) {
  return ::rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus() : OsError("rename", from);
}

}  // namespace selvage
