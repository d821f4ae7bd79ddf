#include "fabric/storage/write_mark.h"

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

constexpr uint32_t kMarkVersion = 1;
constexpr size_t kMarkHeaderBytes = sizeof(uint32_t) + sizeof(uint64_t) + sizeof(uint32_t);
constexpr size_t kSubjectHeaderBytes = sizeof(uint64_t) + sizeof(uint16_t);
constexpr size_t kSubjectBytesMax = UINT16_MAX;

std::string EncodeMark(const WriteMark& mark) {
  std::string out;
  AppendBig<uint32_t>(out, kMarkVersion);
  AppendBig<uint64_t>(out, mark.left_out);
  AppendBig<uint32_t>(out, static_cast<uint32_t>(mark.newest.size()));
  for (const auto& [subject, number] : mark.newest) {
    const std::string_view cut = std::string_view(subject).substr(0, kSubjectBytesMax);
    AppendBig<uint64_t>(out, number);
    AppendBig<uint16_t>(out, static_cast<uint16_t>(cut.size()));
    out.append(cut);
  }
  AppendBig<uint64_t>(out, XXH3_64bits(out.data(), out.size()));
  return out;
}

absl::Status DamagedMark(const std::filesystem::path& path) {
  return MakeError(
      absl::StatusCode::kDataLoss, "write_mark_damaged",
      fmt::format("{} is damaged, so nobody can tell whether the store lost what was written last",
                  path.string()),
      "check the disk");
}

absl::StatusOr<WriteMark> DecodeMark(std::string_view in, const std::filesystem::path& path) {
  if (in.size() < kMarkHeaderBytes + sizeof(uint64_t)) return DamagedMark(path);
  const std::string_view body = in.substr(0, in.size() - sizeof(uint64_t));
  if (LoadBig<uint64_t>(body.data() + body.size()) != XXH3_64bits(body.data(), body.size())) {
    return DamagedMark(path);
  }
  const auto version = LoadBig<uint32_t>(body.data());
  if (version > kMarkVersion) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "store_format_newer",
        fmt::format("{} has version {}, this program knows up to {}", path.string(), version, kMarkVersion),
        "start the newer version of Selvage that wrote this store");
  }
  WriteMark mark;
  mark.left_out = LoadBig<uint64_t>(body.data() + sizeof(uint32_t));
  const auto count = LoadBig<uint32_t>(body.data() + sizeof(uint32_t) + sizeof(uint64_t));
  std::string_view rest = body.substr(kMarkHeaderBytes);
  for (uint32_t i = 0; i < count; ++i) {
    if (rest.size() < kSubjectHeaderBytes) return DamagedMark(path);
    const auto number = LoadBig<uint64_t>(rest.data());
    const size_t size = LoadBig<uint16_t>(rest.data() + sizeof(uint64_t));
    rest.remove_prefix(kSubjectHeaderBytes);
    if (rest.size() < size) return DamagedMark(path);
    mark.newest[std::string(rest.substr(0, size))] = number;
    rest.remove_prefix(size);
  }
  if (!rest.empty()) return DamagedMark(path);
  return mark;
}

}  // namespace

absl::StatusOr<WriteMark> ReadWriteMark(const std::filesystem::path& path) {
  SELVAGE_ASSIGN_OR_RETURN(const std::optional<std::string> content, ReadSyncedFile(path));
  return content ? DecodeMark(*content, path) : WriteMark();
}

absl::Status StoreWriteMark(const std::filesystem::path& path, const WriteMark& mark) {
  return ReplaceSyncedFile(path, EncodeMark(mark));
}

}  // namespace selvage
