#include "fabric/model/chunk_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/storage/synced_file.h"

namespace selvage::model {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHalf = ".tmp";

}  // namespace

absl::StatusOr<std::unique_ptr<ChunkStore>> ChunkStore::Open(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return FileError("use", folder, error);
  auto store = std::unique_ptr<ChunkStore>(new ChunkStore(folder));
  SELVAGE_RETURN_IF_ERROR(store->Scan());
  return store;
}

absl::Status ChunkStore::Scan() {
  absl::MutexLock lock(&mutex_);
  std::error_code error;
  fs::recursive_directory_iterator at(folder_, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    if (!at->is_regular_file(error)) continue;
    if (at->path().extension() == kHalf) {
      fs::remove(at->path(), error);
    } else {
      bytes_ += at->file_size(error);
    }
  }
  return error ? FileError("use", folder_, error) : absl::OkStatus();
}

fs::path ChunkStore::PathOf(const Digest& digest) const {
  const std::string name = digest.Hex();
  return folder_ / name.substr(0, 2) / name;
}

bool ChunkStore::Has(const Digest& digest) const {
  std::error_code error;
  return fs::exists(PathOf(digest), error);
}

uint64_t ChunkStore::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

absl::Status ChunkStore::Put(const std::vector<Chunk>& chunks) {
  for (const Chunk& chunk : chunks) {
    if (Digest::Of(chunk.data) == chunk.digest) continue;
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_chunk",
                     fmt::format("the data of chunk {} are others than its name says", chunk.digest.Hex()),
                     "it is fetched again", Retry::kYes);
  }
  absl::MutexLock lock(&mutex_);
  return PutLocked(chunks);
}

absl::Status ChunkStore::PutLocked(const std::vector<Chunk>& chunks) {
  std::map<fs::path, uint64_t> written;  // what is to be renamed
  std::set<fs::path> folders;
  for (const Chunk& chunk : chunks) {
    const fs::path path = PathOf(chunk.digest);
    std::error_code error;
    if (written.contains(path)) continue;
    if (fs::exists(path, error)) {
      folders.insert(path.parent_path());  // a crash may have come before its name was synced
      continue;
    }
    if (fs::create_directory(path.parent_path(), error)) folders.insert(folder_);
    if (error) return FileError("use", path.parent_path(), error);
    fs::path half = path;
    half += kHalf;
    if (absl::Status status = WriteFile(half, chunk.data); !status.ok()) {
      fs::remove(half, error);
      for (const auto& [other, bytes] : written) fs::remove(other.string().append(kHalf), error);
      return status;
    }
    written.emplace(path, chunk.data.size());
    folders.insert(path.parent_path());
  }
  // All are under way to the disk before the first is waited for.
  for (const auto& [path, bytes] : written) {
    SELVAGE_RETURN_IF_ERROR(SyncFile(path.string().append(kHalf)));
  }
  for (const auto& [path, bytes] : written) {
    SELVAGE_RETURN_IF_ERROR(RenameFile(path.string().append(kHalf), path));
    bytes_ += bytes;
  }
  for (const fs::path& folder : folders) SELVAGE_RETURN_IF_ERROR(SyncFolder(folder));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ChunkStore::Get(const Digest& digest) {
  const auto read = [&]() -> absl::StatusOr<std::string> {
    SELVAGE_ASSIGN_OR_RETURN(std::optional<std::string> data, ReadSyncedFile(PathOf(digest)));
    if (data) return *std::move(data);
    return MakeError(absl::StatusCode::kNotFound, "unknown_chunk",
                     fmt::format("there is no chunk {}", digest.Hex()));
  };
  SELVAGE_ASSIGN_OR_RETURN(std::string data, read());
  if (Digest::Of(data) == digest) return data;
  absl::MutexLock lock(&mutex_);
  // It may have been stored anew meanwhile.
  SELVAGE_ASSIGN_OR_RETURN(data, read());
  if (Digest::Of(data) == digest) return data;
  std::error_code error;
  if (fs::remove(PathOf(digest), error)) bytes_ -= std::min<uint64_t>(bytes_, data.size());
  return MakeError(absl::StatusCode::kDataLoss, "corrupt_chunk",
                   fmt::format("chunk {} is damaged", digest.Hex()), "it is fetched again", Retry::kYes);
}

std::unique_ptr<ChunkStore::Pin> ChunkStore::PinAll(std::vector<Digest> digests) {
  absl::MutexLock lock(&mutex_);
  for (const Digest& digest : digests) ++pins_[digest];
  return std::unique_ptr<Pin>(new Pin(*this, std::move(digests)));
}

ChunkStore::Pin::~Pin() {
  absl::MutexLock lock(&store_.mutex_);
  for (const Digest& digest : digests_) {
    const auto pin = store_.pins_.find(digest);
    if (--pin->second == 0) store_.pins_.erase(pin);
  }
}

absl::StatusOr<ChunkStore::Swept> ChunkStore::Sweep(const std::set<Digest>& needed) {
  absl::MutexLock lock(&mutex_);
  Swept swept;
  std::error_code error;
  std::vector<fs::path> gone;
  fs::recursive_directory_iterator at(folder_, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    const auto digest = Digest::FromHex(at->path().filename().string());
    if (digest && !needed.contains(*digest) && !pins_.contains(*digest)) gone.push_back(at->path());
  }
  for (const fs::path& path : gone) {
    const uint64_t bytes = fs::file_size(path, error);
    if (error || !fs::remove(path, error)) break;
    ++swept.chunks;
    swept.bytes += bytes;
  }
  bytes_ -= std::min(bytes_, swept.bytes);
  if (error) return FileError("use", folder_, error);
  return swept;
}

}  // namespace selvage::model
