#include "fabric/model/model_folder.h"

#include <fmt/format.h>

#include <fstream>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/model/manifest.h"
#include "fabric/storage/synced_file.h"

namespace selvage::model {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUnfinished = ".tmp";
constexpr size_t kReadAtOnce = 256 << 10;
/// Programs that run models are of the group.
constexpr fs::perms kReadable = fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read;

absl::Status CheckDigest(const Digest& is, const v1::ModelManifest::File& file) {
  if (is.bytes() == file.sha256()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kDataLoss, "corrupt_model",
                   fmt::format("file {} does not have the digest that its manifest names", file.path()),
                   "publish the model again");
}

/// Each folder once, the deepest first.
std::vector<fs::path> FoldersOf(const fs::path& root, const v1::ModelManifest& manifest) {
  std::set<fs::path> folders{root};
  for (const auto& file : manifest.files()) {
    for (fs::path at = (root / file.path()).parent_path(); at != root; at = at.parent_path())
      folders.insert(at);
  }
  return {folders.rbegin(), folders.rend()};
}

absl::Status WriteVersion(const fs::path& root, const v1::ModelManifest& manifest, ChunkStore& chunks) {
  std::error_code error;
  for (const auto& file : manifest.files()) {
    const fs::path path = root / file.path();
    fs::create_directories(path.parent_path(), error);
    if (error) return FileError("use", path.parent_path(), error);
    Hasher hasher;
    SELVAGE_RETURN_IF_ERROR(WriteFile(path, ""));
    fs::permissions(path, kReadable, error);
    if (error) return FileError("use", path, error);
    for (const auto& chunk : file.chunks()) {
      const auto digest = Digest::FromBytes(chunk.sha256());
      SELVAGE_CHECK(digest.has_value());  // ReadManifest saw to it
      SELVAGE_ASSIGN_OR_RETURN(const std::string data, chunks.Get(*digest));
      // What was checked against the disk's room are the signed sizes.
      if (data.size() != chunk.size()) return CheckDigest(Digest(), file);
      hasher.Add(data);
      SELVAGE_RETURN_IF_ERROR(AppendToFile(path, data));
    }
    SELVAGE_RETURN_IF_ERROR(CheckDigest(hasher.Finish(), file));
  }
  for (const auto& file : manifest.files()) SELVAGE_RETURN_IF_ERROR(SyncFile(root / file.path()));
  for (const fs::path& folder : FoldersOf(root, manifest)) SELVAGE_RETURN_IF_ERROR(SyncFolder(folder));
  return absl::OkStatus();
}

absl::Status VerifyVersion(const fs::path& root, const v1::ModelManifest& manifest) {
  std::string buffer(kReadAtOnce, '\0');
  for (const auto& file : manifest.files()) {
    std::ifstream in(root / file.path(), std::ios::binary);
    Hasher hasher;
    while (in) {
      in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
      hasher.Add(std::string_view(buffer).substr(0, static_cast<size_t>(in.gcount())));
    }
    SELVAGE_RETURN_IF_ERROR(CheckDigest(hasher.Finish(), file));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelFolder> ModelFolder::Open(const fs::path& path) {
  ModelFolder folder(path);
  std::error_code error;
  fs::create_directories(folder.versions(), error);
  if (error) return FileError("use", path, error);
  std::vector<fs::path> unfinished;
  for (const fs::path& parent : {path, folder.versions()}) {
    fs::directory_iterator at(parent, error);
    for (const fs::directory_iterator end; !error && at != end; at.increment(error)) {
      if (at->path().extension() == kUnfinished) unfinished.push_back(at->path());
    }
  }
  for (const fs::path& one : unfinished) fs::remove_all(one, error);
  if (error) return FileError("use", path, error);
  return folder;
}

fs::path ModelFolder::PathOf(const Digest& manifest) const {
  return versions() / manifest.Hex();
}

bool ModelFolder::Has(const Digest& manifest) const {
  std::error_code error;
  return fs::is_directory(PathOf(manifest), error);
}

absl::Status ModelFolder::Assemble(const Digest& manifest, const v1::ModelManifest& files,
                                   ChunkStore& chunks) {
  const fs::path path = PathOf(manifest);
  std::error_code error;
  if (Has(manifest)) {
    absl::Status verified = VerifyVersion(path, files);
    // Programs may read the one that is current: what they have is not taken from them.
    if (!verified.ok() && Current() != manifest) fs::remove_all(path, error);
    // A crash may have come between its name and the sync of that.
    return verified.ok() ? SyncFolder(versions()) : verified;
  }
  fs::path half = path;
  half += kUnfinished;
  fs::remove_all(half, error);
  if (!fs::create_directory(half, error)) return FileError("use", half, error);
  if (absl::Status written = WriteVersion(half, files, chunks); !written.ok()) {
    fs::remove_all(half, error);
    return written;
  }
  SELVAGE_RETURN_IF_ERROR(RenameFile(half, path));
  return SyncFolder(versions());
}

absl::Status ModelFolder::Point(const std::optional<Digest>& manifest) {
  std::error_code error;
  if (!manifest) {
    fs::remove(current(), error);
    return error ? FileError("use", current(), error) : SyncFolder(folder_);
  }
  if (!Has(*manifest)) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_version",
                     fmt::format("there is no version {}", manifest->Hex()), "it is assembled again",
                     Retry::kYes);
  }
  const fs::path fresh = current().string().append(kUnfinished);
  fs::remove(fresh, error);
  fs::create_directory_symlink(fs::path("versions") / manifest->Hex(), fresh, error);
  if (error) return FileError("use", fresh, error);
  SELVAGE_RETURN_IF_ERROR(RenameFile(fresh, current()));
  return SyncFolder(folder_);
}

std::optional<Digest> ModelFolder::Current() const {
  std::error_code error;
  const fs::path target = fs::read_symlink(current(), error);
  if (error) return std::nullopt;
  return Digest::FromHex(target.filename().string());
}

absl::Status ModelFolder::Sweep(const std::function<bool(const Digest&)>& kept) {
  std::error_code error;
  const std::optional<Digest> points_at = Current();
  std::vector<fs::path> gone;
  fs::directory_iterator at(versions(), error);
  for (const fs::directory_iterator end; !error && at != end; at.increment(error)) {
    const auto digest = Digest::FromHex(at->path().filename().string());
    if (digest && digest != points_at && !kept(*digest)) gone.push_back(at->path());
  }
  for (const fs::path& path : gone) {
    // Nobody may take the rest of it for a version.
    const fs::path half = path.string().append(kUnfinished);
    SELVAGE_RETURN_IF_ERROR(RenameFile(path, half));
    fs::remove_all(half, error);
  }
  return error ? FileError("use", versions(), error) : absl::OkStatus();
}

}  // namespace selvage::model
