#include "fabric/storage/acked_ends.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/storage/synced_file.h"

namespace selvage {
namespace {

constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 2 * sizeof(uint32_t);
constexpr size_t kEntryBytes = sizeof(uint32_t) + sizeof(int64_t);
constexpr size_t kHashBytes = sizeof(uint64_t);

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

}  // namespace

absl::StatusOr<AckedEnds> ReadAckedEnds(const std::filesystem::path& path) {
  SELVAGE_ASSIGN_OR_RETURN(const std::optional<std::string> content, ReadSyncedFile(path));
  return content ? Decode(*content, path) : AckedEnds();
}

absl::Status WriteAckedEnds(const std::filesystem::path& path, const AckedEnds& ends) {
  return ReplaceSyncedFile(path, Encode(ends));
}

}  // namespace selvage
