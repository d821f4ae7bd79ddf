#include "fabric/model/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/base/utf8.h"
#include "fabric/model/chunker.h"
#include "fabric/model/digest.h"

namespace selvage::model {
namespace {

constexpr size_t kPathMax = 1'024;
constexpr size_t kNameMax = 255;
/// Each name but the last is a folder that has to be made.
constexpr size_t kNamesMax = 16;
constexpr size_t kShown = 100;

absl::Status Invalid(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_manifest", what,
                   "sign it again with selvagectl model sign");
}

bool IsPathName(std::string_view name) {
  if (name.empty() || name.size() > kNameMax || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\' || c == ':';
  });
}

absl::Status CheckFile(const v1::ModelManifest::File& file) {
  const std::string path = file.path().substr(0, kShown);
  if (!IsModelPath(file.path()))
    return Invalid(fmt::format("'{}' is no path of a file within a model", path));
  if (file.sha256().size() != Digest::kSize) return Invalid(fmt::format("file {} has no digest", path));
  uint64_t size = 0;
  for (const auto& chunk : file.chunks()) {
    if (chunk.sha256().size() != Digest::kSize || chunk.size() == 0 || chunk.size() > kChunkMax) {
      return Invalid(fmt::format("file {} has a chunk without digest, or of {} bytes", path, chunk.size()));
    }
    size += chunk.size();
  }
  if (size == file.size()) return absl::OkStatus();
  return Invalid(fmt::format("file {} has {} bytes, its chunks {}", path, file.size(), size));
}

/// What is written is what was signed: a chunk has one size, wherever it is.
absl::Status CheckChunkSizes(const v1::ModelManifest& manifest) {
  std::map<std::string_view, uint32_t> sizes;
  for (const auto& file : manifest.files()) {
    for (const auto& chunk : file.chunks()) {
      if (sizes.emplace(chunk.sha256(), chunk.size()).first->second == chunk.size()) continue;
      return Invalid(fmt::format("file {} has a chunk of two sizes", file.path().substr(0, kShown)));
    }
  }
  return absl::OkStatus();
}

/// Each path once, and none that is a folder of another one.
absl::Status CheckPaths(const v1::ModelManifest& manifest) {
  std::set<std::string_view> paths;
  for (const auto& file : manifest.files()) {
    if (!paths.insert(file.path()).second) {
      return Invalid(fmt::format("file {} is there twice", file.path().substr(0, kShown)));
    }
  }
  for (const std::string_view path : paths) {
    for (size_t at = path.find('/'); at != path.npos; at = path.find('/', at + 1)) {
      if (!paths.contains(path.substr(0, at))) continue;
      return Invalid(fmt::format("{} is a file, and a folder", path.substr(0, std::min(at, kShown))));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool IsModelPath(std::string_view path) {
  if (path.empty() || path.size() > kPathMax || DocumentText(path, kPathMax) != path) return false;
  size_t names = 0;
  for (size_t at = 0;;) {
    const size_t end = path.find('/', at);
    if (++names > kNamesMax || !IsPathName(path.substr(at, end == path.npos ? end : end - at))) return false;
    if (end == path.npos) return true;
    at = end + 1;
  }
}

absl::StatusOr<v1::ModelManifest> ReadManifest(std::string_view payload) {
  if (payload.size() > kManifestBytesMax) {
    return Invalid(fmt::format("it has {} bytes; at most {} are taken", payload.size(), kManifestBytesMax));
  }
  v1::ModelManifest manifest;
  if (!manifest.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Invalid("its bytes are no manifest");
  }
  if (!IsDnsName(manifest.trust_domain())) return Invalid("it names no trust domain");
  if (!IsDnsLabel(manifest.model())) {
    return Invalid(
        fmt::format("'{}' is no name of a model: a DNS label is one", manifest.model().substr(0, kShown)));
  }
  if (manifest.version() == 0) return Invalid("it has no version");
  if (manifest.files().empty()) return Invalid("it has no files");
  if (manifest.files_size() > kModelFilesMax) {
    return Invalid(
        fmt::format("it has {} files; at most {} are taken", manifest.files_size(), kModelFilesMax));
  }
  uint64_t bytes = 0;
  for (const auto& file : manifest.files()) {
    SELVAGE_RETURN_IF_ERROR(CheckFile(file));
    bytes += file.size();  // at most the chunks of a manifest, of 1 MiB each
  }
  if (bytes > kModelBytesMax) {
    return Invalid(fmt::format("its files have {} bytes; at most {} are taken", bytes, kModelBytesMax));
  }
  SELVAGE_RETURN_IF_ERROR(CheckChunkSizes(manifest));
  SELVAGE_RETURN_IF_ERROR(CheckPaths(manifest));
  return manifest;
}

std::vector<ManifestChunk> DistinctChunks(const v1::ModelManifest& manifest) {
  std::vector<ManifestChunk> chunks;
  std::set<std::string_view> had;
  for (const auto& file : manifest.files()) {
    for (const auto& chunk : file.chunks()) {
      if (!had.insert(chunk.sha256()).second) continue;
      chunks.push_back({Digest::FromBytes(chunk.sha256()).value_or(Digest()), chunk.size()});
    }
  }
  return chunks;
}

uint64_t BytesOf(const v1::ModelManifest& manifest) {
  uint64_t bytes = 0;
  for (const auto& file : manifest.files()) bytes += file.size();
  return bytes;
}

}  // namespace selvage::model
