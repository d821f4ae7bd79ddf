#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/model/chunker.h"
#include "fabric/model/digest.h"
#include "selvage/v1/model.pb.h"

/// A signed model as one file, for a USB stick or an archive:
///
///   "selvage model 1\n" ‖ length of the document (u32, big endian) ‖ ModelSigned ‖ each chunk once, in the
///   manifest's order
namespace selvage::model {

/// Adds the files below `folder` to the manifest, in the order of their paths, cut into chunks. Errors:
/// "invalid_model" for what is no regular file or folder (a link, a device), for a path that IsModelPath does
/// not take, and for no file at all; "io_error".
absl::Status DescribeFolder(const std::filesystem::path& folder, v1::ModelManifest& manifest,
                            const ChunkSizes& sizes = {});

/// Writes a bundle. The file appears whole, or, without Finish, not at all. Errors: "disk_full", "io_error".
class BundleWriter {
 public:
  static absl::StatusOr<BundleWriter> Create(const std::filesystem::path& path,
                                             const v1::ModelSigned& document);
  BundleWriter(BundleWriter&& other) noexcept;
  BundleWriter& operator=(BundleWriter&&) = delete;
  ~BundleWriter();

  /// Adds the next chunk, in the order of DistinctChunks.
  absl::Status Add(std::string_view chunk);
  absl::Status Finish();

 private:
  explicit BundleWriter(const std::filesystem::path& path);
  absl::Status WritePending();

  std::filesystem::path path_;
  std::filesystem::path fresh_;  // empty: there is nothing to remove
  std::string pending_;
};

/// Writes the bundle of a document whose manifest DescribeFolder made of `folder`. The file appears whole.
/// Errors: "model_changed" when the folder's files are others by now, "disk_full", "io_error".
absl::Status WriteBundle(const std::filesystem::path& path, const v1::ModelSigned& document,
                         const v1::ModelManifest& manifest, const std::filesystem::path& folder);

/// Reads a bundle. Its document is as good as its signatures: check them before reading chunks.
class BundleReader {
 public:
  /// Errors: "invalid_bundle", "io_error".
  static absl::StatusOr<BundleReader> Open(const std::filesystem::path& path);

  const v1::ModelSigned& document() const { return document_; }
  /// Hands over each chunk of the manifest once, in order, as far as `take` says OK; each has its digest.
  /// Errors: "invalid_bundle" for a bundle that is cut short, goes on, or holds other data; those of `take`.
  absl::Status ReadChunks(const v1::ModelManifest& manifest,
                          const std::function<absl::Status(const Digest&, std::string_view)>& take);

 private:
  std::ifstream in_;
  v1::ModelSigned document_;
};

}  // namespace selvage::model
