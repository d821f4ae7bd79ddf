#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/model/chunk_store.h"
#include "fabric/model/digest.h"
#include "selvage/v1/model.pb.h"

namespace selvage::model {

/// The versions of one model as programs at the edge find them:
///
///   models/vibration/versions/<digest of the manifest>/model.onnx ...
///   models/vibration/current -> versions/<digest>
///
/// A version's folder has its name only once it is complete, verified and synced, and `current` is replaced
/// at once: whoever opens a file below `current` reads one whole version, whenever the edge was killed. One
/// caller at a time.
class ModelFolder {
 public:
  /// Makes the folder if there is none, and removes what a crash left unfinished. Error: "io_error".
  static absl::StatusOr<ModelFolder> Open(const std::filesystem::path& folder);

  /// Puts the version together from its chunks, unless it is there, and verifies each file as a whole either
  /// way. Errors: those of ChunkStore::Get, "corrupt_model" (kDataLoss) when a file does not have its digest:
  /// the version is removed then; "disk_full", "io_error".
  absl::Status Assemble(const Digest& manifest, const v1::ModelManifest& files, ChunkStore& chunks);
  bool Has(const Digest& manifest) const;
  /// What programs find from here on; nothing: no version. Durable when it returns. Errors:
  /// "unknown_version" when it is not there, "io_error".
  absl::Status Point(const std::optional<Digest>& manifest);
  /// Where `current` points; nothing where there is none.
  std::optional<Digest> Current() const;
  /// The folder of a version.
  std::filesystem::path PathOf(const Digest& manifest) const;
  /// Removes versions that `kept` does not want. The one that is current stays.
  absl::Status Sweep(const std::function<bool(const Digest&)>& kept);

 private:
  explicit ModelFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path versions() const { return folder_ / "versions"; }
  std::filesystem::path current() const { return folder_ / "current"; }

  std::filesystem::path folder_;
};

}  // namespace selvage::model
