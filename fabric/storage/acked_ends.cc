#include "fabric/storage/acked_ends.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 2 * sizeof(uint32_t);
constexpr size_t kEntryBytes = sizeof(uint32_t) + sizeof(int64_t);
constexpr size_t kHashBytes = sizeof(uint64_t);

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

absl::Status Damaged(const std::filesystem::path& path) {
  return MakeError(absl::StatusCode::kDataLoss, "acked_ends_damaged",
                   fmt::format("{} is damaged, so nobody can tell whether the store lost acknowledged data",
                               path.string()),
                   "compare the store with its replica, then remove the file");
}

std::string Encode(const AckedEnds& ends) {
  std::string out;
  out.reserve(kHeaderBytes + ends.size() * kEntryBytes + kHashBytes);
  AppendBig<uint32_t>(out, kVersion);
  AppendBig<uint32_t>(out, static_cast<uint32_t>(ends.size()));
  for (const auto& [log, end] : ends) {
    AppendBig(out, log.value());
    AppendBig(out, end.value());
  }
  AppendBig<uint64_t>(out, XXH3_64bits(out.data(), out.size()));
  return out;
}

absl::StatusOr<AckedEnds> Decode(std::string_view in, const std::filesystem::path& path) {
  if (in.size() < kHeaderBytes + kHashBytes) return Damaged(path);
  const std::string_view body = in.substr(0, in.size() - kHashBytes);
  if (LoadBig<uint64_t>(body.data() + body.size()) != XXH3_64bits(body.data(), body.size())) {
    return Damaged(path);
  }
  const auto version = LoadBig<uint32_t>(body.data());
  if (version > kVersion) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "store_format_newer",
        fmt::format("{} has version {}, this program knows up to {}", path.string(), version, kVersion),
        "start the newer version of Selvage that wrote this store");
  }
  const size_t count = LoadBig<uint32_t>(body.data() + sizeof version);
  if (body.size() != kHeaderBytes + count * kEntryBytes) return Damaged(path);
  AckedEnds ends;
  for (size_t i = 0; i < count; ++i) {
    const char* at = body.data() + kHeaderBytes + i * kEntryBytes;
    ends[LogNumber(LoadBig<uint32_t>(at))] = Offset(LoadBig<int64_t>(at + sizeof(uint32_t)));
  }
  return ends;
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

absl::StatusOr<AckedEnds> ReadAckedEnds(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) {
    if (errno == ENOENT) return AckedEnds();
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
  return Decode(content, path);
}

absl::Status WriteAckedEnds(const std::filesystem::path& path, const AckedEnds& ends) {
  std::filesystem::path fresh = path;
  fresh += ".tmp";
  {
    const Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
    if (fd.get() < 0) return OsError("create", fresh);
    SELVAGE_RETURN_IF_ERROR(WriteAll(fd.get(), Encode(ends), fresh));
    if (::fsync(fd.get()) != 0) return OsError("sync", fresh);
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return OsError("rename", fresh);
  const std::filesystem::path directory = path.parent_path();
  return SyncDirectory(directory.empty() ? std::filesystem::path(".") : directory);
}

}  // namespace selvage
