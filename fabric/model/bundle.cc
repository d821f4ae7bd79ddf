#include "fabric/model/bundle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/model/manifest.h"
#include "fabric/storage/synced_file.h"

namespace selvage::model {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "selvage model 1\n";
/// A manifest, and its signatures.
constexpr size_t kDocumentMax = kManifestBytesMax + (64 << 10);
/// Several of the largest chunks are in memory while a file is cut.
constexpr size_t kCutAtOnce = 8 * kChunkMax;
constexpr size_t kWrittenAtOnce = 4 << 20;

absl::Status InvalidModel(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_model", what,
                   "a model is a folder of regular files, with folders");
}

absl::Status InvalidBundle(std::string_view what) {
  return MakeError(absl::StatusCode::kDataLoss, "invalid_bundle", what,
                   "copy the bundle again from where it was made");
}

absl::Status LastError(std::string_view what, const fs::path& path) {
  return FileError(what, path, {errno == 0 ? EIO : errno, std::generic_category()});
}

absl::StatusOr<std::vector<std::string>> PathsBelow(const fs::path& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    const std::string path = at->path().lexically_relative(folder).generic_string();
    const fs::file_status status = at->symlink_status(error);
    if (error) break;
    if (fs::is_directory(status)) continue;
    if (!fs::is_regular_file(status)) return InvalidModel(fmt::format("{} is neither file nor folder", path));
    if (!IsModelPath(path)) return InvalidModel(fmt::format("'{}' is no path that every system takes", path));
    paths.push_back(path);
  }
  if (error) return FileError("read", folder, error);
  if (paths.empty()) return InvalidModel(fmt::format("{} has no files", folder.string()));
  std::sort(paths.begin(), paths.end());
  return paths;
}

absl::Status DescribeFile(const fs::path& path, const ChunkSizes& sizes, v1::ModelManifest::File& file) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return LastError("open", path);
  Hasher hasher;
  std::string data;
  bool ended = false;
  for (;;) {
    // A chunk is cut where all that may belong to it is there.
    if (!ended && data.size() < sizes.max) {
      const size_t had = data.size();
      data.resize(had + kCutAtOnce);
      in.read(data.data() + had, static_cast<std::streamsize>(kCutAtOnce));
      data.resize(had + static_cast<size_t>(in.gcount()));
      if (in.bad()) return LastError("read", path);
      ended = in.eof();
    }
    if (data.empty()) break;
    size_t at = 0;
    while (at < data.size() && (ended || data.size() - at >= sizes.max)) {
      const std::string_view chunk(data.data() + at, FirstChunk(std::string_view(data).substr(at), sizes));
      hasher.Add(chunk);
      auto& one = *file.add_chunks();
      one.set_sha256(Digest::Of(chunk).bytes());
      one.set_size(static_cast<uint32_t>(chunk.size()));
      file.set_size(file.size() + chunk.size());
      at += chunk.size();
    }
    data.erase(0, at);
  }
  file.set_sha256(hasher.Finish().bytes());
  return absl::OkStatus();
}

}  // namespace

absl::Status DescribeFolder(const fs::path& folder, v1::ModelManifest& manifest, const ChunkSizes& sizes) {
  SELVAGE_ASSIGN_OR_RETURN(const std::vector<std::string> paths, PathsBelow(folder));
  for (const std::string& path : paths) {
    auto& file = *manifest.add_files();
    file.set_path(path);
    SELVAGE_RETURN_IF_ERROR(DescribeFile(folder / path, sizes, file));
  }
  return absl::OkStatus();
}

BundleWriter::BundleWriter(const fs::path& path) : path_(path), fresh_(path.string() + ".tmp") {}

BundleWriter::BundleWriter(BundleWriter&& other) noexcept
    : path_(std::move(other.path_)),
      fresh_(std::exchange(other.fresh_, fs::path())),
      pending_(std::move(other.pending_)) {}

BundleWriter::~BundleWriter() {
  std::error_code error;
  if (!fresh_.empty()) fs::remove(fresh_, error);
}

absl::StatusOr<BundleWriter> BundleWriter::Create(const fs::path& path, const v1::ModelSigned& document) {
  BundleWriter writer(path);
  const std::string bytes = document.SerializeAsString();
  std::string head(kMagic);
  AppendBig(head, static_cast<uint32_t>(bytes.size()));
  SELVAGE_RETURN_IF_ERROR(WriteFile(writer.fresh_, head + bytes));
  return writer;
}

absl::Status BundleWriter::Add(std::string_view chunk) {
  pending_ += chunk;
  return pending_.size() < kWrittenAtOnce ? absl::OkStatus() : WritePending();
}

absl::Status BundleWriter::WritePending() {
  SELVAGE_RETURN_IF_ERROR(AppendToFile(fresh_, pending_));
  pending_.clear();
  return absl::OkStatus();
}

absl::Status BundleWriter::Finish() {
  SELVAGE_RETURN_IF_ERROR(WritePending());
  SELVAGE_RETURN_IF_ERROR(SyncFile(fresh_));
  SELVAGE_RETURN_IF_ERROR(RenameFile(fresh_, path_));
  fresh_.clear();
  return absl::OkStatus();
}

absl::Status WriteBundle(const fs::path& path, const v1::ModelSigned& document,
                         const v1::ModelManifest& manifest, const fs::path& folder) {
  SELVAGE_ASSIGN_OR_RETURN(BundleWriter writer, BundleWriter::Create(path, document));
  std::set<std::string> written;
  for (const auto& file : manifest.files()) {
    errno = 0;
    std::ifstream in(folder / file.path(), std::ios::binary);
    if (!in) return LastError("open", folder / file.path());
    for (const auto& chunk : file.chunks()) {
      std::string data(chunk.size(), '\0');
      in.read(data.data(), static_cast<std::streamsize>(data.size()));
      if (static_cast<size_t>(in.gcount()) != data.size() || Digest::Of(data).bytes() != chunk.sha256()) {
        return MakeError(absl::StatusCode::kAborted, "model_changed",
                         fmt::format("{} was changed while it was read", (folder / file.path()).string()),
                         "sign it when nothing writes it", Retry::kYes);
      }
      if (written.insert(chunk.sha256()).second) SELVAGE_RETURN_IF_ERROR(writer.Add(data));
    }
  }
  return writer.Finish();
}

absl::StatusOr<BundleReader> BundleReader::Open(const fs::path& path) {
  BundleReader reader;
  errno = 0;
  reader.in_.open(path, std::ios::binary);
  if (!reader.in_) return LastError("open", path);
  std::string head(kMagic.size() + 4, '\0');
  reader.in_.read(head.data(), static_cast<std::streamsize>(head.size()));
  if (!reader.in_ || !head.starts_with(kMagic)) {
    return InvalidBundle(fmt::format("{} is no bundle of a model", path.string()));
  }
  const size_t size = LoadBig<uint32_t>(head.data() + kMagic.size());
  if (size > kDocumentMax)
    return InvalidBundle(fmt::format("{} has a document of {} bytes", path.string(), size));
  std::string document(size, '\0');
  reader.in_.read(document.data(), static_cast<std::streamsize>(size));
  if (!reader.in_ || !reader.document_.ParseFromString(document)) {
    return InvalidBundle(fmt::format("{} has no whole document", path.string()));
  }
  return reader;
}

absl::Status BundleReader::ReadChunks(
    const v1::ModelManifest& manifest,
    const std::function<absl::Status(const Digest&, std::string_view)>& take) {
  for (const ManifestChunk& chunk : DistinctChunks(manifest)) {
    std::string data(chunk.size, '\0');
    in_.read(data.data(), static_cast<std::streamsize>(data.size()));
    if (!in_) return InvalidBundle(fmt::format("it ends before chunk {}", chunk.digest.Hex()));
    if (Digest::Of(data) != chunk.digest) {
      return InvalidBundle(fmt::format("chunk {} is damaged", chunk.digest.Hex()));
    }
    SELVAGE_RETURN_IF_ERROR(take(chunk.digest, data));
  }
  return in_.peek() == std::ifstream::traits_type::eof() ? absl::OkStatus()
                                                         : InvalidBundle("it goes on behind its end");
}

}  // namespace selvage::model
